"""Checks values of a bundle's configuration against what is allowed; nothing of a bundle is called."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import ModelError
from models.bundle.config_reader import BundleCall

FIX = "correct configs/inference.json"


def require_call(value: Any, targets: Sequence[str], what: str) -> BundleCall:
    """``value``, if it is a call of one of ``targets``. Raises ModelError."""
    if isinstance(value, BundleCall) and value.target in targets:
        return value
    found = value.target if isinstance(value, BundleCall) else type(value).__name__
    raise ModelError(f"{what} is {found}, which is not on the allow list: {', '.join(sorted({t.rpartition('.')[2] for t in targets}))}")


def whole_number(value: Any, what: str) -> int:
    """``value``, if it is a whole number. Raises ModelError."""
    if type(value) is not int:
        raise ModelError(f"{what} is a whole number, not {value!r}", hint=FIX)
    return value


def number(value: Any, what: str) -> float:
    """``value`` as a float, if it is a number. Raises ModelError."""
    if type(value) not in (int, float):
        raise ModelError(f"{what} is a number, not {value!r}", hint=FIX)
    return float(value)


def check_arguments(call: BundleCall, known: Mapping[str, tuple[type, ...]]) -> None:
    """Check that a call has arguments of ``known`` names and types only. Raises ModelError."""
    if call.args:
        raise ModelError(f"{call.name} has arguments without names", hint="write them as name = value")
    for key, value in call.kwargs.items():
        if key not in known or not isinstance(value, known[key]) or not is_plain(value) or (type(value) is bool and bool not in known[key]):
            raise ModelError(f"{call.name}'s argument {key} is not on the allow list as {value!r}: {', '.join(known)}")


def require_enabled(call: BundleCall) -> None:
    """Check that a call is always made. Raises ModelError."""
    if call.may_be_disabled:
        raise ModelError(f"{call.name} is disabled in some cases (_disabled_)", hint="take it out, or leave out _disabled_")


def require_bilinear(call: BundleCall) -> None:
    """Check that a Spacingd interpolates as images are resampled here. Raises ModelError."""
    mode = call.kwargs.get("mode", "bilinear")
    if mode not in ("bilinear", ["bilinear"]):
        raise ModelError(f"{call.name} with mode {mode!r} is not supported: images are resampled with bilinear interpolation")


def is_plain(value: Any) -> bool:
    """Whether a value consists of numbers, texts, and lists and tables of fewer than 20 entries."""
    if isinstance(value, Mapping):
        return len(value) < 20 and all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return len(value) < 20 and all(map(is_plain, value))
    return isinstance(value, str | int | float | bool)
