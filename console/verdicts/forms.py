"""Reads the form of a verdict: which finding, what was decided, and what the reader had seen."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Any, TypeVar

from core.clock import system_clock
from core.policy.verdicts import MarkedPlace, RejectionReason, VerdictDraft, VerdictKind, VerdictRefused
from core.records import Code
from db.verdicts.result_state import SeenResult

Choice = TypeVar("Choice", bound=StrEnum)


def read_draft(form: Mapping[str, Any], classes: Mapping[str, Code], images: Sequence[Any]) -> VerdictDraft:
    """Return the verdict of a form.

    Fields: ``verdict``; ``finding`` (its number, empty for a missed one); ``reason`` of a rejection; ``label``, ``diameter_mm``,
    ``image`` (SOP Instance UID) or ``image_number`` (Instance Number), ``frame``, ``column``, ``row`` of a correction or a missed finding;
    ``retracts``. Fields that the kind of verdict does not use are ignored. A ``reason`` without ``verdict`` is a rejection.

    Raises
    ------
    VerdictRefused
        A field is missing or has no valid value.
    """
    wanted = _text(form, "verdict") or (VerdictKind.REJECTED.value if _text(form, "reason") else "")
    kind = _choice(VerdictKind, wanted, "verdict")
    changes = kind in (VerdictKind.CORRECTED, VerdictKind.MISSED)
    label = _text(form, "label") if changes else ""
    if label and label not in classes:
        raise VerdictRefused(f"the model has no class {label!r}", hint=f"choose one of {', '.join(classes)}")
    return VerdictDraft(
        kind=kind,
        finding_id=_whole(form, "finding"),
        reason=_choice(RejectionReason, _text(form, "reason"), "reason") if kind is VerdictKind.REJECTED else None,
        label=label,
        code=classes[label] if label else None,
        place=_place(form, images) if changes else None,
        diameter_mm=_number(form, "diameter_mm") if changes else None,
        retracts=_whole(form, "retracts") if kind is VerdictKind.RETRACTED else None,
    )


def read_seen(form: Mapping[str, Any]) -> SeenResult:
    """Return what the reader had on the screen: fields ``seen_revision``, ``seen_at`` (ISO 8601) and ``seen_verdict`` of the page.

    Raises
    ------
    VerdictRefused
        One of them is missing, or the time lies in the future.
    """
    revision, verdict = _whole(form, "seen_revision"), _whole(form, "seen_verdict")
    try:
        at = datetime.fromisoformat(_text(form, "seen_at")).astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    if revision is None or verdict is None or at is None or at > system_clock():
        raise VerdictRefused("the form does not say what you had seen", hint="reload the page and judge again")
    return SeenResult(revision, at, verdict)


def _place(form: Mapping[str, Any], images: Sequence[Any]) -> MarkedPlace | None:
    column, row = _number(form, "column"), _number(form, "row")
    if column is None and row is None:
        return None
    if column is None or row is None:
        raise VerdictRefused("a place has a column and a row", hint="mark it on the image, or give both")
    wanted, number = _text(form, "image"), _whole(form, "image_number")
    if not wanted:
        fitting = [image.sop_instance_uid for image in images if len(images) == 1 or (number is not None and image.number == number)]
        if len(fitting) != 1:
            raise VerdictRefused("the image of the place is not clear", hint="mark it on the image, or give the number of an image")
        wanted = fitting[0]
    return MarkedPlace(wanted, (column, row), _whole(form, "frame"))


def _text(form: Mapping[str, Any], name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _choice(kind: type[Choice], value: str, name: str) -> Choice:
    try:
        return kind(value)
    except ValueError as error:
        raise VerdictRefused(f"{name} is one of {', '.join(kind)}", hint="choose one of them") from error


def _whole(form: Mapping[str, Any], name: str) -> int | None:
    value = _text(form, name)
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise VerdictRefused(f"{name} is a whole number", hint="give digits only")
    return int(value)


def _number(form: Mapping[str, Any], name: str) -> float | None:
    value = _text(form, name)
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise VerdictRefused(f"{name} is a number", hint="write it with a decimal point")
    return number
