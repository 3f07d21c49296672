"""How often the version on trial says the same as the version that reported, on the units for which both have a result."""

from collections import Counter
from dataclasses import dataclass

from core.counted import counted
from core.policy.proportions import Share
from core.policy.trial.cases import TrialAnswer, TrialCase, match_marks

MOST_DIFFERENCES = 10_000  # that are listed; all are counted


@dataclass(frozen=True, slots=True)
class VersionAgreement:
    """The version on trial against one version that reported. Shares are of units, those of marks are of findings.

    Attributes
    ----------
    same_outcome
        Units with the same outcome, of those with both results.
    same_answer
        Units with the same classes (classifier), or the same marks and no other (detector), of those that both have answered.
    repeated_marks
        Marks of the version that reported which the version on trial has too. A detector's; empty for a classifier.
    added_marks
        Number of marks that only the version on trial has.
    crossed
        A classifier's: (classes reported, classes of the version on trial) -> units.
    """

    version: str
    digest: str
    same_outcome: Share
    same_answer: Share
    repeated_marks: Share
    added_marks: int
    crossed: dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class TrialDifference:
    """A unit on which the two versions differ, and how, in words."""

    unit_id: int
    study_id: int
    candidate_job: int
    reported_job: int
    reported_version: str
    words: str


class AgreementTally:
    """Counts the agreement with each version that reported, and lists the first units that differ. ``task``: classify or detect.

    Attributes
    ----------
    differing
        Number of units that differ.
    differences
        The first `MOST_DIFFERENCES` of them, in the order in which they were added.
    """

    def __init__(self, task: str) -> None:
        self._task = task
        self._versions: dict[tuple[str, str], _VersionTally] = {}
        self.differing = 0
        self.differences: list[TrialDifference] = []

    def add(self, case: TrialCase) -> None:
        """Count one unit; without effect where one of the two has no result."""
        pair = _both_results(case)
        if pair is None:
            return
        candidate, reported = pair
        self._versions.setdefault((reported.version, reported.digest), _VersionTally(self._task)).add(candidate, reported)
        if words := _difference(candidate, reported, self._task):
            self.differing += 1
            if len(self.differences) < MOST_DIFFERENCES:
                named = (case.unit_id, case.study_id, candidate.job_id, reported.job_id, reported.version, words)
                self.differences.append(TrialDifference(*named))

    def agreement(self) -> tuple[VersionAgreement, ...]:
        """Return the agreement with each version, the one with most units first."""
        found = [tally.result(*version) for version, tally in self._versions.items()]
        return tuple(sorted(found, key=lambda one: (-one.same_outcome.n, one.version)))


class _VersionTally:
    """Counts for one version that reported."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._results = self._same_outcome = self._answered = self._same_answer = 0
        self._repeated = self._reported_marks = self._tried_marks = 0
        self._crossed: Counter[tuple[str, str]] = Counter()

    def add(self, candidate: TrialAnswer, reported: TrialAnswer) -> None:
        self._results += 1
        self._same_outcome += candidate.outcome == reported.outcome
        if not (candidate.answered and reported.answered):
            return
        self._answered += 1
        self._same_answer += is_same_answer(candidate, reported, self._task)
        if self._task == "classify":
            self._crossed[reported.label, candidate.label] += 1
            return
        self._repeated += len(match_marks(candidate.marks, reported.marks))
        self._reported_marks += len(reported.marks)
        self._tried_marks += len(candidate.marks)

    def result(self, version: str, digest: str) -> VersionAgreement:
        return VersionAgreement(
            version,
            digest,
            same_outcome=Share(self._same_outcome, self._results),
            same_answer=Share(self._same_answer, self._answered),
            repeated_marks=Share(self._repeated, self._reported_marks),
            added_marks=self._tried_marks - self._repeated,
            crossed=dict(self._crossed),
        )


def is_same_answer(candidate: TrialAnswer, reported: TrialAnswer, task: str) -> bool:
    """Whether two answers name the same classes (``classify``), or mark the same places (``detect``)."""
    if task == "classify":
        return candidate.label == reported.label
    return len(match_marks(candidate.marks, reported.marks)) == len(candidate.marks) == len(reported.marks)


def _both_results(case: TrialCase) -> tuple[TrialAnswer, TrialAnswer] | None:
    """The answers of the version on trial and of the one that reported; None where one of them has no result."""
    candidate, reported = case.candidate, case.reported
    if candidate is None or reported is None or candidate.outcome is None or reported.outcome is None:
        return None
    return None if candidate.job_id == reported.job_id else (candidate, reported)


def _difference(candidate: TrialAnswer, reported: TrialAnswer, task: str) -> str:
    """Return in words how two results differ; "" where they do not."""
    if candidate.outcome != reported.outcome:
        return f"{_words(candidate)}; reported was {_words(reported)}"
    if not candidate.answered or is_same_answer(candidate, reported, task):
        return ""
    if task == "classify":
        return f"{_words(candidate)}; reported was {_words(reported)}"
    repeated = len(match_marks(candidate.marks, reported.marks))
    added, lost = len(candidate.marks) - repeated, len(reported.marks) - repeated
    return f"{counted(repeated, 'mark')} in common, {added} only of the version on trial, {lost} only of the one that reported"


def _words(answer: TrialAnswer) -> str:
    assert answer.outcome is not None  # only results are compared
    outcome = answer.outcome.value.replace("_", " ")
    if not answer.marks:
        return outcome
    first = answer.marks[0]
    sure = f" ({first.probability:.2f})" if first.probability is not None else ""
    return f"{first.label}{sure}" if len(answer.marks) == 1 else f"{len(answer.marks)} findings, first {first.label}{sure}"
