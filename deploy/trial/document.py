"""The figures of a trial as a JSON document, which the page is made of too."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from core.counted import counted
from core.policy.proportions import Share
from core.policy.trial.agreement import VersionAgreement
from core.policy.trial.cautions import describe_cautions
from core.policy.trial.figures import NO_RESULT, TrialFigures
from core.policy.trial.groups import GroupFigures
from core.policy.trial.reference import ReferenceFigures
from core.states import Outcome


@dataclass(frozen=True, slots=True)
class TrialAbout:
    """What was tried, on what, and by whom: everything of the page that is no figure.

    Attributes
    ----------
    active
        The version that serves; "" where none does.
    by_conditions
        The conditions of the routes were applied to stored units.
    unreadable
        Units to which they could not be applied.
    unit
        What the model analyses: image or series.
    console
        Address of the console, without a slash at its end.
    """

    model: str
    version: str
    digest: str
    title: str
    status: str
    not_for: str
    task: str
    unit: str
    active: str
    active_digest: str
    by_conditions: bool
    unreadable: int
    routes: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    limit: int | None
    console: str
    actor: str
    written_at: datetime
    program: str


def trial_document(about: TrialAbout, figures: TrialFigures) -> dict[str, Any]:
    """Return everything that the page says. Times are texts; it holds no name, number or UID of a patient."""
    outcomes = {name: figures.outcomes.get(name, 0) for name in (*(outcome.value for outcome in Outcome), NO_RESULT)}
    cautions = describe_cautions(figures, about.task, has_active=bool(about.active), selected_by_conditions=about.by_conditions)
    return {
        "about": {key: _plain(value) for key, value in asdict(about).items()},
        "summary": _summary(about, figures),
        "units": figures.units,
        "studies": figures.studies,
        "answered": _share(Share(figures.answered, figures.units - outcomes[NO_RESULT])),
        "outcomes": outcomes,
        "images_removed": figures.images_removed,
        "reasons": [{"outcome": outcome, "reason": reason, "units": units} for outcome, reason, units in figures.reasons],
        "agreement": [_agreement(one, about.active_digest) for one in figures.agreement],
        "differing": figures.differing,
        "differences": [asdict(one) | {"link": f"{about.console}/studies/{one.study_id}"} for one in figures.differences],
        "reference": None if figures.reference is None else _reference(figures.reference),
        "reported_reference": None if figures.reported_reference is None else _reference(figures.reported_reference),
        "paired": None if figures.paired is None else asdict(figures.paired),
        "groups": [_group(one) for one in figures.groups],
        "seconds": None if figures.seconds is None else asdict(figures.seconds),
        "memory_mib": None if figures.memory_mib is None else asdict(figures.memory_mib),
        "cautions": list(cautions),
    }


def _summary(about: TrialAbout, figures: TrialFigures) -> list[str]:
    """The first lines of the page."""
    units, studies = f"{figures.units} {_units_word(about, figures.units)}", counted(figures.studies, "study", "studies")
    abstained, failed = (figures.outcomes.get(outcome, 0) for outcome in (Outcome.ABSTAINED, Outcome.NOT_ANALYSED))
    said = [
        f"{about.model} {about.version} was tried on {units} of {studies} stored here: {figures.answered} answered, {abstained} abstained, "
        f"{failed} not analysed.",
    ]
    for one in figures.agreement:
        if one.same_answer.n:
            kind = "the same class" if about.task == "classify" else "the same marks and no other"
            said.append(f"It gave {kind} as version {one.version}, which reported, in {_words(one.same_answer)}.")
    if figures.reference is not None and figures.reference.right.n:
        what = "named the class of the clinician in" if about.task == "classify" else "marked, of the findings that clinicians confirmed,"
        said.append(f"It {what} {_words(figures.reference.right)}.")
    if figures.images_removed:
        kind = _units_word(about, figures.images_removed)
        said.append(f"{figures.images_removed} further {kind} could not be tried: retention has deleted the images.")
    said.append("The trial delivered nothing and made no report. Research use only: not for diagnosis and not for clinical decisions.")
    return said


def _units_word(about: TrialAbout, count: int) -> str:
    if about.unit == "image":
        return "image" if count == 1 else "images"
    return "series" if about.unit == "series" else "series and images"


def _words(share: Share) -> str:
    assert share.value is not None  # only shares of something are put into words
    return f"{share.count} of {share.n} ({100 * share.value:.0f} %, 95 % interval {100 * share.low:.0f} to {100 * share.high:.0f} %)"


def _share(share: Share) -> dict[str, float | int | None]:
    return {"count": share.count, "n": share.n, "value": share.value, "low": share.low, "high": share.high}


def _agreement(one: VersionAgreement, active_digest: str) -> dict[str, Any]:
    return {
        "version": one.version,
        "digest": one.digest,
        "active": one.digest == active_digest,
        "same_outcome": _share(one.same_outcome),
        "same_answer": _share(one.same_answer),
        "repeated_marks": _share(one.repeated_marks),
        "added_marks": one.added_marks,
        "crossed": _crossed(one.crossed, "reported", "tried"),
    }


def _reference(one: ReferenceFigures) -> dict[str, Any]:
    rate = one.false_marks
    return {
        "units": one.units,
        "unanswered": one.unanswered,
        "right": _share(one.right),
        "undecided": one.undecided,
        "by_class": {name: _share(share) for name, share in one.by_class.items()},
        "without_finding": _share(one.without_finding),
        "confusion": _crossed(one.confusion, "clinician", "said"),
        "false_marks": {"count": rate.count, "units": rate.units, "value": rate.value, "low": rate.low, "high": rate.high},
        "rejected_again": _share(one.rejected_again),
    }


def _group(one: GroupFigures) -> dict[str, Any]:
    shares = {name: _share(getattr(one, name)) for name in ("answered", "same_answer", "right")}
    return {"attribute": one.attribute, "value": one.value, "units": one.units, "few": one.is_small, **shares}


def _crossed(counts: Mapping[tuple[str, str], int], row: str, column: str) -> list[dict[str, Any]]:
    return [{row: first, column: second, "units": units} for (first, second), units in sorted(counts.items())]


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
