"""How often the version on trial says the same as the version that reported, on the units for which both have a result."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.policy.proportions import Share
from core.policy.trial.cases import TrialAnswer, TrialCase, match_marks


@dataclass(frozen=True, slots=True)
class VersionAgreement:
    """The version on trial against one version that reported. Shares are of units, those of marks are of findings.

    Attributes
    ----------
    same_outcome
        Units with the same outcome, of those with both results.
    same_answer
        Units with the same class (classifier), or the same marks and no other (detector), of those that both have answered.
    repeated_marks
        Marks of the version that reported which the version on trial has too. A detector's; empty for a classifier.
    added_marks
        Number of marks that only the version on trial has.
    crossed
        A classifier's: (class reported, class of the version on trial) -> units.
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


def compare_with_reported(cases: Sequence[TrialCase], task: str) -> tuple[VersionAgreement, ...]:
    """Return the agreement with each version that reported, the one with most units first. ``task``: classify or detect."""
    by_version: dict[tuple[str, str], list[tuple[TrialAnswer, TrialAnswer]]] = {}
    for case in cases:
        if (pair := _both_results(case)) is not None:
            by_version.setdefault((pair[1].version, pair[1].digest), []).append(pair)
    found = [_agreement(version, digest, pairs, task) for (version, digest), pairs in by_version.items()]
    return tuple(sorted(found, key=lambda one: (-one.same_outcome.n, one.version)))


def find_differences(cases: Sequence[TrialCase], task: str) -> tuple[TrialDifference, ...]:
    """Return the units on which the version on trial differs from the one that reported, in the order of ``cases``."""
    found = []
    for case in cases:
        pair = _both_results(case)
        words = "" if pair is None else _difference(*pair, task)
        if pair is not None and words:
            found.append(TrialDifference(case.unit_id, case.study_id, pair[0].job_id, pair[1].job_id, pair[1].version, words))
    return tuple(found)


def is_same_answer(candidate: TrialAnswer, reported: TrialAnswer, task: str) -> bool:
    """Whether two answers name the same class (``classify``), or mark the same places (``detect``)."""
    if task == "classify":
        return candidate.label == reported.label
    return len(match_marks(candidate.marks, reported.marks)) == len(candidate.marks) == len(reported.marks)


def _both_results(case: TrialCase) -> tuple[TrialAnswer, TrialAnswer] | None:
    """The answers of the version on trial and of the one that reported; None where one of them has no result."""
    candidate, reported = case.candidate, case.reported
    if candidate is None or reported is None or candidate.outcome is None or reported.outcome is None:
        return None
    return None if candidate.job_id == reported.job_id else (candidate, reported)


def _agreement(version: str, digest: str, pairs: list[tuple[TrialAnswer, TrialAnswer]], task: str) -> VersionAgreement:
    both = [pair for pair in pairs if pair[0].answered and pair[1].answered]
    repeated = sum(len(match_marks(one.marks, other.marks)) for one, other in both)
    reported, tried = sum(len(pair[1].marks) for pair in both), sum(len(pair[0].marks) for pair in both)
    detects = task != "classify"
    return VersionAgreement(
        version,
        digest,
        same_outcome=Share(sum(one.outcome == other.outcome for one, other in pairs), len(pairs)),
        same_answer=Share(sum(is_same_answer(*pair, task) for pair in both), len(both)),
        repeated_marks=Share(repeated, reported) if detects else Share(0, 0),
        added_marks=tried - repeated if detects else 0,
        crossed={} if detects else dict(Counter((other.label, one.label) for one, other in both)),
    )


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
    return f"{repeated} marks in common, {added} only of the version on trial, {lost} only of the one that reported"


def _words(answer: TrialAnswer) -> str:
    assert answer.outcome is not None  # only results are compared
    outcome = answer.outcome.value.replace("_", " ")
    if not answer.marks:
        return outcome
    first = answer.marks[0]
    sure = f" ({first.probability:.2f})" if first.probability is not None else ""
    return f"{first.label}{sure}" if len(answer.marks) == 1 else f"{len(answer.marks)} findings, first {first.label}{sure}"
