"""The version on trial against what clinicians decided: sensitivity and false marks of a detector, the confusion of a classifier."""

from collections import Counter
from dataclasses import dataclass

from core.policy.proportions import Share, rate_interval
from core.policy.trial.cases import ClinicalReference, TrialAnswer, TrialCase, match_marks


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
        A detector: findings of clinicians that it marks. A classifier: units of which it names the classes and no other.
    undecided
        A classifier's units that are not in ``right``: a class was rejected and no other one named, or a finding was not judged.
    by_class
        A classifier's sensitivity for each class that clinicians named.
    without_finding
        A classifier: units without a class that is a finding which it left without one too.
    confusion
        A classifier's: (classes of the clinician, classes of the version) -> units.
    false_marks
        A detector's marks that no clinician confirmed, in the units of which every finding was judged.
    rejected_again
        Findings that clinicians rejected, and the version has too, of all that they rejected.
    """

    units: int
    unanswered: int
    right: Share
    undecided: int
    by_class: dict[str, Share]
    without_finding: Share
    confusion: dict[tuple[str, str], int]
    false_marks: FalseMarkRate
    rejected_again: Share


class ReferenceTally:
    """Counts the answers of one version on units that clinicians have judged. ``task``: classify or detect."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._units = self._unanswered = self._undecided = 0
        self._right = self._of = 0
        self._found: Counter[str] = Counter()  # class -> units in which the version names it, of those in which clinicians did
        self._named: Counter[str] = Counter()
        self._confusion: Counter[tuple[str, str]] = Counter()
        self._false = self._whole = self._again = self._rejected = 0

    def add(self, answer: TrialAnswer | None, reference: ClinicalReference | None) -> None:
        """Count one unit; without effect where no clinician has judged it."""
        if reference is None:
            return
        if answer is None or not answer.answered:
            self._unanswered += 1
            return
        self._units += 1
        self._again += len(match_marks(answer.marks, reference.rejected))
        self._rejected += len(reference.rejected)
        if self._task == "classify":
            self._add_classes(answer, reference)
            return
        marked = len(match_marks(answer.marks, reference.present))
        self._right += marked
        self._of += len(reference.present)
        if reference.whole:
            self._whole += 1
            self._false += len(answer.marks) - marked

    def _add_classes(self, answer: TrialAnswer, reference: ClinicalReference) -> None:
        if reference.label is None:
            self._undecided += 1
            return
        self._of += 1
        self._right += answer.label == reference.label
        self._confusion[reference.label, answer.label] += 1
        said = {mark.label for mark in answer.marks}
        for name in {mark.label for mark in reference.present}:
            self._named[name] += 1
            self._found[name] += name in said

    def figures(self) -> ReferenceFigures:
        """Return what was counted."""
        without = {said: units for (true, said), units in self._confusion.items() if not true}
        return ReferenceFigures(
            units=self._units,
            unanswered=self._unanswered,
            right=Share(self._right, self._of),
            undecided=self._undecided,
            by_class={name: Share(self._found[name], self._named[name]) for name in sorted(self._named)},
            without_finding=Share(without.get("", 0), sum(without.values())),
            confusion=dict(self._confusion),
            false_marks=FalseMarkRate(self._false, self._whole),
            rejected_again=Share(self._again, self._rejected),
        )


@dataclass(frozen=True, slots=True)
class PairedDecisions:
    """What both versions have answered: decisions (units of a classifier, findings of a detector) by which of the two agrees with them."""

    both: int
    only_candidate: int
    only_reported: int
    neither: int


class PairTally:
    """Counts the clinicians' decisions on units that both the version on trial and the one that reported have answered."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._counted: Counter[tuple[bool, bool]] = Counter()

    def add(self, case: TrialCase) -> None:
        """Count one unit."""
        first, second, reference = case.candidate, case.reported, case.reference
        if first is not None and second is not None and reference is not None and first.answered and second.answered:
            pairs = zip(_agrees(first, reference, self._task), _agrees(second, reference, self._task), strict=True)
            self._counted.update(pairs)

    def decisions(self) -> PairedDecisions:
        """Return what was counted."""
        counted = self._counted
        return PairedDecisions(counted[True, True], counted[True, False], counted[False, True], counted[False, False])


def _agrees(answer: TrialAnswer, reference: ClinicalReference, task: str) -> list[bool]:
    """Whether an answer agrees, for the classes of a unit, or for each finding that is there."""
    if task == "classify":
        return [] if reference.label is None else [answer.label == reference.label]
    found = {index for _, index in match_marks(answer.marks, reference.present)}
    return [index in found for index in range(len(reference.present))]
