"""The units of a trial by scanner, slice thickness, kernel, sex and age of the patient: how many were tried, and with which figures."""

from dataclasses import dataclass
from datetime import datetime

from core.policy.proportions import Share
from core.policy.routes.series_selection import kernel_class
from core.policy.trial.agreement import is_same_answer
from core.policy.trial.cases import TrialCase
from core.policy.trial.reference import ReferenceTally
from core.records import InstanceHeader

ATTRIBUTES = ("scanner", "slice thickness", "kernel", "sex", "age")
LEAST_OF_GROUP = 30  # answered units: with fewer, as `models compare --held-out` has it, a figure of the group says nothing
UNKNOWN = "not stated"
MOST_GROUPS, FURTHER = 100, "others"  # of one attribute: headers may state anything
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


class GroupTally:
    """Counts the units of every value of every attribute. ``task``: classify or detect."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._groups: dict[str, dict[str, _OneGroup]] = {attribute: {} for attribute in ATTRIBUTES}

    def add(self, case: TrialCase) -> None:
        """Count one unit in its group of each attribute."""
        for attribute, groups in self._groups.items():
            value = case.attributes.get(attribute) or UNKNOWN
            if value not in groups and len(groups) >= MOST_GROUPS:
                value = FURTHER
            groups.setdefault(value, _OneGroup(self._task)).add(case)

    def groups(self) -> tuple[GroupFigures, ...]:
        """Return the groups of every attribute that any unit states, the largest group of an attribute first."""
        found: list[GroupFigures] = []
        for attribute, groups in self._groups.items():
            if set(groups) <= {UNKNOWN}:
                continue
            figures = [group.figures(attribute, value) for value, group in groups.items()]
            found += sorted(figures, key=lambda one: (-one.units, one.value))
        return tuple(found)


class _OneGroup:
    """Counts the units with one value of one attribute."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._units = self._results = self._answered = self._compared = self._same = 0
        self._reference = ReferenceTally(task)

    def add(self, case: TrialCase) -> None:
        candidate, reported = case.candidate, case.reported
        self._units += 1
        self._reference.add(candidate, case.reference)
        if candidate is None or candidate.outcome is None:
            return
        self._results += 1
        self._answered += candidate.answered
        if reported is not None and candidate.answered and reported.answered and candidate.job_id != reported.job_id:
            self._compared += 1
            self._same += is_same_answer(candidate, reported, self._task)

    def figures(self, attribute: str, value: str) -> GroupFigures:
        return GroupFigures(
            attribute,
            value,
            units=self._units,
            answered=Share(self._answered, self._results),
            same_answer=Share(self._same, self._compared),
            right=self._reference.figures().right,
        )


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
