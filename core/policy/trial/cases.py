"""One unit of a trial: the answer of the version on trial, the one that was reported, what clinicians decided, what the headers say."""

from dataclasses import dataclass
from math import dist

from core.records import Lps
from core.states import JobState, Outcome

LEAST_REACH_MM = 5.0  # a mark finds what lies within its radius, and within this where it is smaller: as in the training of the detector
ANSWERED = frozenset({Outcome.FINDINGS, Outcome.NO_FINDING})


@dataclass(frozen=True, slots=True)
class TrialMark:
    """A finding of a model or of a clinician: its class, and for a detector its place (LPS, mm) and diameter where they are known."""

    label: str
    position_mm: Lps | None = None
    diameter_mm: float | None = None
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class TrialAnswer:
    """The result of one job. ``outcome`` is None where the job ended without one, and ``reason`` says why."""

    job_id: int
    version: str
    digest: str
    state: JobState
    outcome: Outcome | None
    reason: str = ""
    marks: tuple[TrialMark, ...] = ()
    prepare_s: float | None = None
    infer_s: float | None = None
    memory_mib: int | None = None

    @property
    def answered(self) -> bool:
        """Whether it says what is in the images: it neither abstained nor was the unit not analysed."""
        return self.outcome in ANSWERED

    @property
    def has_failed(self) -> bool:
        """Whether the job ended without a result and is not repeated by itself."""
        return self.outcome is None and self.state in (JobState.FAILED, JobState.QUARANTINED)

    @property
    def label(self) -> str:
        """The classes of the findings, joined by " + " in alphabetical order; "" where there is none."""
        return joined_labels(self.marks)


@dataclass(frozen=True, slots=True)
class ClinicalReference:
    """What clinicians decided on the result that was reported.

    Attributes
    ----------
    present
        Findings that were accepted, corrected (as corrected) or added.
    rejected
        Findings that were rejected.
    whole
        Every finding of the result was judged: what is not in ``present`` is not there, as far as the clinician has looked.
    """

    present: tuple[TrialMark, ...]
    rejected: tuple[TrialMark, ...]
    whole: bool

    @property
    def label(self) -> str | None:
        """The classes that are there, as `TrialAnswer.label` has them; "" where nothing is, and None where the decisions do not say it.

        They do not where a finding was not judged, or was rejected and no class named instead.
        """
        return joined_labels(self.present) if self.whole and (self.present or not self.rejected) else None


@dataclass(frozen=True, slots=True)
class TrialCase:
    """One unit of a trial.

    Attributes
    ----------
    candidate
        The answer of the version on trial; None where it has no job for the present revision of the unit.
    reported
        The newest result of the model that counts; None where there is none.
    attributes
        What the headers say, by the names of `core.policy.trial.groups.ATTRIBUTES`; "" where they say nothing.
    images_removed
        Retention has deleted images, so that the version cannot be tried on it.
    """

    unit_id: int
    study_id: int
    candidate: TrialAnswer | None
    reported: TrialAnswer | None
    reference: ClinicalReference | None
    attributes: dict[str, str]
    images_removed: bool = False


def joined_labels(marks: tuple[TrialMark, ...]) -> str:
    """Return the classes of marks, each once, joined by " + " in alphabetical order: the answer of a classifier."""
    return " + ".join(sorted({mark.label for mark in marks}))


def match_marks(first: tuple[TrialMark, ...], second: tuple[TrialMark, ...]) -> list[tuple[int, int]]:
    """Return pairs of indices of marks of one class at one place, the nearest pair first; each mark is in one pair at most.

    Two marks are at one place where their centres are no further apart than the larger radius, or `LEAST_REACH_MM`. Marks without a
    position in the patient are paired by class alone.
    """
    near = []
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            away_mm = _distance_mm(one, other)
            if one.label == other.label and away_mm <= _reach_mm(one, other):
                near.append((away_mm, i, j))
    pairs: list[tuple[int, int]] = []
    for _, i, j in sorted(near):
        if all(i != taken and j != other_taken for taken, other_taken in pairs):
            pairs.append((i, j))
    return pairs


def _distance_mm(one: TrialMark, other: TrialMark) -> float:
    return 0.0 if one.position_mm is None or other.position_mm is None else dist(one.position_mm, other.position_mm)


def _reach_mm(one: TrialMark, other: TrialMark) -> float:
    return max((one.diameter_mm or 0.0) / 2, (other.diameter_mm or 0.0) / 2, LEAST_REACH_MM)
