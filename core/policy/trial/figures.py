"""All figures of a trial, from its cases."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from core.policy.trial.agreement import AgreementTally, TrialDifference, VersionAgreement
from core.policy.trial.cases import TrialCase
from core.policy.trial.groups import GroupFigures, GroupTally
from core.policy.trial.id_set import IdSet
from core.policy.trial.reference import PairedDecisions, PairTally, ReferenceFigures, ReferenceTally
from core.states import Outcome

NO_RESULT = "no result yet"
MOST_REASONS, OTHER_REASONS = 1000, "other reasons, each of few units"


@dataclass(frozen=True, slots=True)
class TrialCosts:
    """Median and largest of one quantity over the units that have it."""

    units: int
    median: float
    largest: float


@dataclass(frozen=True, slots=True)
class TrialFigures:
    """The figures of a trial.

    Attributes
    ----------
    units, studies
        What the routes selected, and what could be tried.
    images_removed
        Units that could not be tried because retention has deleted images of them.
    outcomes
        Outcome of the version on trial -> units; ``no result yet`` for those without one.
    reasons
        (outcome, reason) -> units, for those that abstained or were not analysed, the most frequent first.
    differing, differences
        Number of units on which the version on trial differs from what was reported, and the first 10,000 of them.
    reference, reported_reference
        Against the clinicians' decisions: the version on trial, and what was reported. None where there is no decision.
    paired
        Decisions on units that both have answered; None where there is no decision.
    seconds, memory_mib
        For one unit of the version on trial; None where nothing was measured.
    """

    units: int
    studies: int
    images_removed: int
    outcomes: dict[str, int]
    reasons: tuple[tuple[str, str, int], ...]
    agreement: tuple[VersionAgreement, ...]
    differing: int
    differences: tuple[TrialDifference, ...]
    reference: ReferenceFigures | None
    reported_reference: ReferenceFigures | None
    paired: PairedDecisions | None
    groups: tuple[GroupFigures, ...]
    seconds: TrialCosts | None
    memory_mib: TrialCosts | None

    @property
    def answered(self) -> int:
        """Units for which the version on trial has an answer."""
        return self.outcomes.get(Outcome.FINDINGS, 0) + self.outcomes.get(Outcome.NO_FINDING, 0)


def compute_figures(cases: Iterable[TrialCase], task: str) -> TrialFigures:
    """Return the figures. ``task``: classify or detect, as the card of the version says."""
    tally = TrialTally(task)
    for case in cases:
        tally.add(case)
    return tally.figures()


class TrialTally:
    """Counts the cases of a trial one by one, so that a million of them need no memory: 16 bytes each for the medians are kept."""

    def __init__(self, task: str) -> None:
        self._units = self._images_removed = 0
        self._studies = IdSet()
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._agreement = AgreementTally(task)
        self._judged = False
        self._reference, self._reported_reference, self._paired = ReferenceTally(task), ReferenceTally(task), PairTally(task)
        self._groups = GroupTally(task)
        self._seconds, self._memory_mib = array("d"), array("d")

    def add(self, case: TrialCase) -> None:
        """Count one unit."""
        if _cannot_be_tried(case):
            self._images_removed += 1
            return
        self._units += 1
        self._studies.add(case.study_id)
        self._outcomes[_outcome(case)] += 1
        self._add_reason(case)
        self._agreement.add(case)
        self._judged |= case.reference is not None
        self._reference.add(case.candidate, case.reference)
        self._reported_reference.add(case.reported, case.reference)
        self._paired.add(case)
        self._groups.add(case)
        if (seconds := _seconds(case)) is not None:
            self._seconds.append(seconds)
        if case.candidate is not None and case.candidate.memory_mib is not None:
            self._memory_mib.append(case.candidate.memory_mib)

    def _add_reason(self, case: TrialCase) -> None:
        """Count why there is no answer; a reason may name a number of this unit, so that not all of them are kept."""
        outcome = _outcome(case)
        if case.candidate is None or outcome not in (Outcome.ABSTAINED, Outcome.NOT_ANALYSED):
            return
        reason = (outcome, case.candidate.reason or "no reason was given")
        if reason not in self._reasons and len(self._reasons) >= MOST_REASONS:
            reason = (outcome, OTHER_REASONS)
        self._reasons[reason] += 1

    def figures(self) -> TrialFigures:
        """Return the figures of the units that were added."""
        return TrialFigures(
            units=self._units,
            studies=len(self._studies),
            images_removed=self._images_removed,
            outcomes=dict(self._outcomes),
            reasons=tuple((outcome, reason, count) for (outcome, reason), count in self._reasons.most_common()),
            agreement=self._agreement.agreement(),
            differing=self._agreement.differing,
            differences=tuple(self._agreement.differences),
            reference=self._reference.figures() if self._judged else None,
            reported_reference=self._reported_reference.figures() if self._judged else None,
            paired=self._paired.decisions() if self._judged else None,
            groups=self._groups.groups(),
            seconds=_costs(self._seconds),
            memory_mib=_costs(self._memory_mib),
        )


def _cannot_be_tried(case: TrialCase) -> bool:
    return case.images_removed and (case.candidate is None or case.candidate.outcome is None)


def _outcome(case: TrialCase) -> str:
    """The outcome; a job that failed for good has analysed nothing."""
    if case.candidate is None:
        return NO_RESULT
    if case.candidate.outcome is None:
        return Outcome.NOT_ANALYSED.value if case.candidate.has_failed else NO_RESULT
    return case.candidate.outcome.value


def _seconds(case: TrialCase) -> float | None:
    one = case.candidate
    return None if one is None or one.prepare_s is None or one.infer_s is None or not one.answered else one.prepare_s + one.infer_s


def _costs(measured: Sequence[float]) -> TrialCosts | None:
    return TrialCosts(len(measured), median(measured), max(measured)) if measured else None
