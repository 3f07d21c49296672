"""Chooses the earlier results of a patient with which a result is compared.

The candidates are of the same model (`db.jobs.prior_choice`) and patient (`core.policy.priors.same_patient`). Everything else is decided
here. An examination is earlier by the date and time of its study only: when it was received says nothing, because archives send old
studies late.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

SAME_KEYWORDS = ("Modality", "BodyPartExamined", "SeriesDescription")
"""The attributes of a series that the database holds, and that may have to be the same."""
_TIME_DIGITS = 6


@dataclass(frozen=True, slots=True)
class PriorRule:
    """At most ``count`` results of studies up to ``within_days`` before; the attributes ``same`` are present and equal.

    ``unique_ids``: the site vouches that an equal Patient ID is enough to be the same person (`core.policy.priors.same_patient`).
    """

    count: int
    within_days: int
    same: tuple[str, ...]
    unique_ids: bool = False


@dataclass(frozen=True, slots=True)
class Examination:
    """When a series was made, as its study says (DA, TM; "" where it does not), and its ``attributes`` by DICOM keyword."""

    study_date: str
    study_time: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PriorCandidate:
    """An earlier result: ``findings`` is how many it has, ``rejected`` the numbers of those that a clinician has rejected."""

    job_id: int
    study_id: int
    examination: Examination
    findings: int
    rejected: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ChosenPrior:
    """An earlier result with which a result is compared, and how many days lie between the studies."""

    candidate: PriorCandidate
    days: int


def choose_priors(rule: PriorRule, this: Examination, candidates: Iterable[PriorCandidate]) -> tuple[ChosenPrior, ...]:
    """Return the results to compare with, the newest first, one of each study.

    Of several series of a study it is the one with the same Series Description, else the result that was made last. A result all of whose
    findings a clinician has rejected is left out.
    """
    of_study: dict[int, tuple[tuple[bool, int], ChosenPrior]] = {}
    for candidate in candidates:
        days = days_before(candidate.examination, this)
        if days is None or days > rule.within_days or not _alike(rule.same, candidate.examination, this):
            continue
        if candidate.findings and len(set(candidate.rejected)) >= candidate.findings:
            continue
        order = (_alike(("SeriesDescription",), candidate.examination, this), candidate.job_id)
        if candidate.study_id not in of_study or of_study[candidate.study_id][0] < order:
            of_study[candidate.study_id] = order, ChosenPrior(candidate, days)
    found = [chosen for _, chosen in of_study.values()]
    found.sort(key=lambda one: (_moment(one.candidate.examination), one.candidate.job_id), reverse=True)
    return tuple(found[: rule.count])


def days_before(then: Examination, now: Examination) -> int | None:
    """Return how many days ``then`` lies before ``now``; None where it does not, or where the headers do not say.

    Two studies of one day are ordered by their times; without these neither is the earlier one.
    """
    first, second = parse_date(then.study_date), parse_date(now.study_date)
    if first is None or second is None or first > second:
        return None
    if first == second:
        start, end = _time(then.study_time), _time(now.study_time)
        if not start or not end or start >= end:
            return None
    return (second - first).days


def _alike(keywords: Iterable[str], one: Examination, other: Examination) -> bool:
    values = [[examination.attributes.get(keyword, "").strip().casefold() for examination in (one, other)] for keyword in keywords]
    return all(first and first == second for first, second in values)


def _moment(examination: Examination) -> tuple[str, str]:
    return examination.study_date.strip(), _time(examination.study_time)


def parse_date(text: str) -> date | None:
    """Return a DICOM date (PS3.5 6.2, DA: eight digits); None for other text."""
    digits = text.strip()
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _time(text: str) -> str:
    """A DICOM time (TM) as six digits, to be compared; "" where it is empty or has another form."""
    digits = text.strip().partition(".")[0]
    fits = digits.isascii() and digits.isdigit() and len(digits) in (2, 4, _TIME_DIGITS)
    return digits.ljust(_TIME_DIGITS, "0") if fits else ""
