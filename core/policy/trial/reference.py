"""The version on trial against what clinicians decided: sensitivity and false marks of a detector, the confusion of a classifier."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.policy.proportions import Share, rate_interval
from core.policy.trial.cases import ClinicalReference, TrialAnswer, TrialCase, match_marks

ChooseAnswer = Callable[[TrialCase], TrialAnswer | None]
Judged = tuple[TrialAnswer, ClinicalReference]


@dataclass(frozen=True, slots=True)
class FalseMarkRate:
    """``count`` false marks in ``units``; ``low`` and ``high`` are the limits of the 95 % interval of the mean per unit (Byar)."""

    count: int
    units: int

    @property
    def value(self) -> float | None:
        """The mean per unit; None without units."""
        return self.count / self.units if self.units else None

    @property
    def low(self) -> float | None:
        """Lower limit; None without units."""
        return rate_interval(self.count, self.units)[0] if self.units else None

    @property
    def high(self) -> float | None:
        """Upper limit; None without units."""
        return rate_interval(self.count, self.units)[1] if self.units else None


@dataclass(frozen=True, slots=True)
class ReferenceFigures:
    """One version against the clinicians' decisions.

    Attributes
    ----------
    units
        Units with decisions and an answer of the version.
    unanswered
        Units with decisions for which it has no answer: it abstained, or the unit was not analysed.
    right
        A detector: findings of clinicians that it marks. A classifier: units whose class it names.
    by_class
        A classifier's sensitivity for each class that clinicians named.
    confusion
        A classifier's: (class of the clinician, class of the version) -> units.
    false_marks
        A detector's marks that no clinician confirmed, in the units of which every finding was judged.
    rejected_again
        Findings that clinicians rejected, and the version has too, of all that they rejected.
    """

    units: int
    unanswered: int
    right: Share
    by_class: dict[str, Share]
    confusion: dict[tuple[str, str], int]
    false_marks: FalseMarkRate
    rejected_again: Share


def compare_with_reference(cases: Sequence[TrialCase], task: str, choose: ChooseAnswer) -> ReferenceFigures:
    """Return the figures of the answers that ``choose`` returns, on the units that clinicians have judged."""
    judged: list[Judged] = []
    unanswered = 0
    for case in cases:
        answer = choose(case)
        if case.reference is None:
            continue
        if answer is None or not answer.answered:
            unanswered += 1
        else:
            judged.append((answer, case.reference))
    classes = [] if task != "classify" else [(ref.present[0].label, one.label) for one, ref in judged if ref.present]
    whole = [] if task == "classify" else [(one, ref) for one, ref in judged if ref.whole]
    again = sum(len(match_marks(one.marks, ref.rejected)) for one, ref in judged)
    return ReferenceFigures(
        units=len(judged),
        unanswered=unanswered,
        right=Share(sum(true == said for true, said in classes), len(classes)) if task == "classify" else _found(judged),
        by_class={name: _recall(classes, name) for name in sorted({true for true, _ in classes})},
        confusion=dict(Counter(classes)),
        false_marks=FalseMarkRate(sum(len(one.marks) - len(match_marks(one.marks, ref.present)) for one, ref in whole), len(whole)),
        rejected_again=Share(again, sum(len(ref.rejected) for _, ref in judged)),
    )


def _found(judged: Sequence[Judged]) -> Share:
    """The findings of clinicians that a detector marks."""
    return Share(sum(len(match_marks(one.marks, ref.present)) for one, ref in judged), sum(len(ref.present) for _, ref in judged))


def _recall(classes: Sequence[tuple[str, str]], name: str) -> Share:
    of_class = [said for true, said in classes if true == name]
    return Share(of_class.count(name), len(of_class))


@dataclass(frozen=True, slots=True)
class PairedDecisions:
    """What both versions have answered: decisions (units of a classifier, findings of a detector) by which of the two agrees with them."""

    both: int
    only_candidate: int
    only_reported: int
    neither: int


def pair_decisions(cases: Sequence[TrialCase], task: str) -> PairedDecisions:
    """Count the clinicians' decisions on units that both the version on trial and the one that reported have answered."""
    counted: Counter[tuple[bool, bool]] = Counter()
    for case in cases:
        first, second, reference = case.candidate, case.reported, case.reference
        if first is not None and second is not None and reference is not None and first.answered and second.answered:
            counted.update(zip(_agrees(first, reference, task), _agrees(second, reference, task), strict=True))
    return PairedDecisions(counted[True, True], counted[True, False], counted[False, True], counted[False, False])


def _agrees(answer: TrialAnswer, reference: ClinicalReference, task: str) -> list[bool]:
    """Whether an answer agrees, for the class of a unit, or for each finding that is there."""
    if task == "classify":
        return [answer.label == reference.present[0].label] if reference.present else []
    found = {index for _, index in match_marks(answer.marks, reference.present)}
    return [index in found for index in range(len(reference.present))]
