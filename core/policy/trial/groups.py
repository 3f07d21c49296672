"""The units of a trial by scanner, slice thickness, kernel, sex and age of the patient: where the version was tried, and how it did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.policy.proportions import Share
from core.policy.routes.series_selection import kernel_class
from core.policy.trial.agreement import is_same_answer
from core.policy.trial.cases import TrialCase
from core.policy.trial.reference import compare_with_reference
from core.records import InstanceHeader

ATTRIBUTES = ("scanner", "slice thickness", "kernel", "sex", "age")
LEAST_OF_GROUP = 30  # answered units: with fewer, as `models compare --held-out` has it, a figure of the group says nothing
UNKNOWN = "not stated"
_THICKNESS_MM = (1.0, 2.0, 3.0, 5.0)
_SEX = {"F": "female", "M": "male", "O": "other"}


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """The units with one value of one attribute. ``same_answer`` and ``right`` are as in `VersionAgreement` and `ReferenceFigures`."""

    attribute: str
    value: str
    units: int
    answered: Share
    same_answer: Share
    right: Share

    @property
    def is_small(self) -> bool:
        """Whether too few units were answered for a figure."""
        return self.answered.count < LEAST_OF_GROUP


def describe_header(header: InstanceHeader, scanner: str) -> dict[str, str]:
    """Return the attributes of a unit from the header of one of its images; ``scanner``: manufacturer and model, as a result has it."""
    kernel = header.convolution_kernel.strip()
    return {
        "scanner": scanner,
        "slice thickness": _thickness_band(header.slice_thickness_mm),
        "kernel": kernel_class(kernel) if kernel else "",
        "sex": _SEX.get(header.patient_sex, ""),
        "age": _age_band(header.patient_birth_date, header.study_date),
    }


def group_cases(cases: Sequence[TrialCase], task: str) -> tuple[GroupFigures, ...]:
    """Return the groups of every attribute that any unit states, the largest group of an attribute first."""
    found: list[GroupFigures] = []
    for attribute in ATTRIBUTES:
        if not any(case.attributes.get(attribute) for case in cases):
            continue
        groups: dict[str, list[TrialCase]] = {}
        for case in cases:
            groups.setdefault(case.attributes.get(attribute) or UNKNOWN, []).append(case)
        figures = [_figures(attribute, value, group, task) for value, group in groups.items()]
        found += sorted(figures, key=lambda one: (-one.units, one.value))
    return tuple(found)


def _figures(attribute: str, value: str, cases: Sequence[TrialCase], task: str) -> GroupFigures:
    tried = [case.candidate for case in cases if case.candidate is not None and case.candidate.outcome is not None]
    return GroupFigures(
        attribute,
        value,
        units=len(cases),
        answered=Share(sum(one.answered for one in tried), len(tried)),
        same_answer=_share(cases, lambda case: _is_same(case, task)),
        right=compare_with_reference(cases, task, lambda case: case.candidate).right,
    )


def _share(cases: Sequence[TrialCase], test: Callable[[TrialCase], bool | None]) -> Share:
    """The cases for which ``test`` is true, of those for which it is not None."""
    answers = [answer for case in cases if (answer := test(case)) is not None]
    return Share(sum(answers), len(answers))


def _is_same(case: TrialCase, task: str) -> bool | None:
    candidate, reported = case.candidate, case.reported
    if candidate is None or reported is None or not (candidate.answered and reported.answered) or candidate.job_id == reported.job_id:
        return None
    return is_same_answer(candidate, reported, task)


def _thickness_band(thickness_mm: float | None) -> str:
    if thickness_mm is None:
        return ""
    limit = next((limit for limit in _THICKNESS_MM if thickness_mm <= limit), None)
    return f"up to {limit:g} mm" if limit is not None else f"above {_THICKNESS_MM[-1]:g} mm"


def _age_band(birth_date: str, study_date: str) -> str:
    """The age at the study, in the bands of the held-out images of training; "" where a date is missing or wrong."""
    try:
        born, seen = (datetime.strptime(text, "%Y%m%d") for text in (birth_date, study_date))
    except ValueError:
        return ""
    years = seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
    if not 0 <= years <= 130:
        return ""
    return "under 40" if years < 40 else "40 to 59" if years < 60 else "60 and more"
