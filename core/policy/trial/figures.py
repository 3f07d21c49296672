"""All figures of a trial, from its cases."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from core.policy.trial.agreement import TrialDifference, VersionAgreement, compare_with_reported, find_differences
from core.policy.trial.cases import TrialCase
from core.policy.trial.groups import GroupFigures, group_cases
from core.policy.trial.reference import PairedDecisions, ReferenceFigures, compare_with_reference, pair_decisions
from core.states import Outcome

NO_RESULT = "no result yet"


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


def compute_figures(cases: Sequence[TrialCase], task: str) -> TrialFigures:
    """Return the figures. ``task``: classify or detect, as the card of the version says."""
    tried = [case for case in cases if not _cannot_be_tried(case)]
    judged = any(case.reference is not None for case in tried)
    return TrialFigures(
        units=len(tried),
        studies=len({case.study_id for case in tried}),
        images_removed=len(cases) - len(tried),
        outcomes=dict(Counter(_outcome(case) for case in tried)),
        reasons=_reasons(tried),
        agreement=compare_with_reported(tried, task),
        differences=find_differences(tried, task),
        reference=compare_with_reference(tried, task, lambda case: case.candidate) if judged else None,
        reported_reference=compare_with_reference(tried, task, lambda case: case.reported) if judged else None,
        paired=pair_decisions(tried, task) if judged else None,
        groups=group_cases(tried, task),
        seconds=_costs([_seconds(case) for case in tried]),
        memory_mib=_costs([case.candidate.memory_mib if case.candidate else None for case in tried]),
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


def _reasons(cases: Sequence[TrialCase]) -> tuple[tuple[str, str, int], ...]:
    counted = Counter(
        (_outcome(case), case.candidate.reason or "no reason was given")
        for case in cases
        if case.candidate is not None and _outcome(case) in (Outcome.ABSTAINED, Outcome.NOT_ANALYSED)
    )
    return tuple((outcome, reason, count) for (outcome, reason), count in counted.most_common())


def _seconds(case: TrialCase) -> float | None:
    one = case.candidate
    return None if one is None or one.prepare_s is None or one.infer_s is None or not one.answered else one.prepare_s + one.infer_s


def _costs(values: Sequence[float | None]) -> TrialCosts | None:
    measured = [value for value in values if value is not None]
    return TrialCosts(len(measured), median(measured), max(measured)) if measured else None
