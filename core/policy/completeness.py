"""Decides when a unit of analysis is complete: by evidence, and by waiting times only where there is none.

The rules, in this order: no instance is left, because each SOP Instance UID came again in another series; a photograph, when it is
received; a storage commitment request of the sender that lists every instance held; the
expected count; the association released, slices without gap, and `settle_s` without an instance; `quiet_s` without an instance; and,
whatever is missing, `max_wait_s` after the first instance. An open association that still sends instances of the unit delays the decision
until `quiet_s` has passed without one, and so do contents that are being compared. Images in Acquisition (0020,1002) is not used, because
an acquisition is not a series.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.counted import counted
from core.policy.unit_progress import CompletionPolicy, UnitProgress
from core.records import CompletionEvidence
from core.states import UnitKind

PHOTOGRAPH, REQUESTED, EXPECTED_COUNT = "photograph", "commitment_request", "expected_count"
RELEASED, QUIET, MAX_WAIT = "released", "quiet", "max_wait"
MOVED = "moved"
MOVED_REASON = "no instance is left: each SOP Instance UID came again with other content, in another series"
UNDECIDED_CHECK_S = 1.0  # wait before the next check while contents are compared, which no time in the progress announces
SHORTEST_CHECK_S = 0.05  # no check follows sooner, so that rounded times cannot cause a busy loop


@dataclass(frozen=True, slots=True)
class CompletionDecision:
    """Complete by ``rule``, or not yet, with the reason in words; ``next_check_at`` is None once complete."""

    complete: bool
    rule: str
    reason: str
    next_check_at: datetime | None = None
    expected: int | None = None

    def evidence(self, held: int, at: datetime) -> CompletionEvidence:
        """Return the record that is stored with the unit."""
        return CompletionEvidence(rule=self.rule, reason=self.reason, at=at, held=held, expected=self.expected)


def decide_completion(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> CompletionDecision:
    """Return whether the unit is complete at ``now`` and by which evidence; if not, when to check again."""
    if progress.held < 1 and not progress.undecided:
        return CompletionDecision(True, MOVED, MOVED_REASON)
    delays = _delays(progress, policy, now)
    if not delays:
        decision = _decide_by_evidence(progress, policy, now)
        if decision is not None:
            return decision
    if now >= progress.opened_at + timedelta(seconds=policy.max_wait_s):
        missing = "; ".join(delays) or "no better evidence came"
        return CompletionDecision(True, MAX_WAIT, f"{policy.max_wait_s:g} s have passed since the first instance; {missing}")
    waiting = f"{progress.held} held, {_seconds_quiet(progress, now):.0f} s quiet; {progress.coverage.reason}"
    return CompletionDecision(False, "", "; ".join(delays) or waiting, next_check_at=_next_check(progress, policy, now))


def count_is_due(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> bool:
    """Whether to ask the source now how many instances the series has: when no more arrive, and once more later."""
    if progress.kind is UnitKind.IMAGE or _is_sending(progress, policy, now):
        return False
    delay = timedelta(seconds=policy.count_delay_s)
    if now < progress.last_received_at + delay:
        return False
    return progress.source_count.at is None or now >= progress.source_count.at + delay


def _seconds_quiet(progress: UnitProgress, now: datetime) -> float:
    return (now - progress.last_received_at).total_seconds()


def _is_sending(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> bool:
    quiet = timedelta(seconds=policy.quiet_s)
    return any(association.open and now < association.last_instance_at + quiet for association in progress.associations)


def _delays(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> list[str]:
    """Reasons why no evidence may decide yet."""
    delays = []
    if progress.held < 1:
        delays.append("no instance is held")
    if progress.undecided:
        delays.append(f"{progress.undecided} contents are being compared")
    if progress.kind is not UnitKind.IMAGE and _is_sending(progress, policy, now):
        delays.append("an open association still sends instances")
    return delays


def _decide_by_evidence(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> CompletionDecision | None:
    """The first rule that holds; None where none does."""
    if progress.kind is UnitKind.IMAGE:
        return CompletionDecision(True, PHOTOGRAPH, "a photograph is complete when it is received")
    return _decide_by_count(progress, policy, now) or _decide_by_quiet(progress, policy, now)


def _decide_by_count(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> CompletionDecision | None:
    """Decide by a number that the sender gave: in a storage commitment request, on C-FIND or in the header."""
    held, count, quiet_s = progress.held, progress.source_count, _seconds_quiet(progress, now)
    source_has_more = count.count is not None and count.count > held
    if progress.commitment_count == held and not source_has_more and quiet_s >= policy.count_delay_s:
        asked_for = counted(held, "instance, the only one held", "instances, all that are held")
        reason = f"the sender asked for storage commitment of {asked_for}"
        return CompletionDecision(True, REQUESTED, reason, expected=held)
    is_current = count.at is not None and count.at >= progress.last_received_at
    if is_current and count.count == held and count.previous == held:
        reason = f"the source twice counted {counted(held, 'instance')}, and {counted(held, 'is', 'are')} held"
        return CompletionDecision(True, EXPECTED_COUNT, reason, expected=held)
    if count.count is None and progress.stated_count == held and quiet_s >= policy.count_delay_s:
        there = counted(held, "is", "are")
        reason = f"the instances state {held} in their series (0020,1209), and {there} held, unchanged for {policy.count_delay_s:g} s"
        return CompletionDecision(True, EXPECTED_COUNT, reason, expected=held)
    return None


def _decide_by_quiet(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> CompletionDecision | None:
    """Decide by the time that has passed since the last instance."""
    quiet_s, coverage = _seconds_quiet(progress, now), progress.coverage
    expected = progress.source_count.count if progress.source_count.count is not None else progress.stated_count
    differs = f"; {expected} were expected" if expected is not None and expected != progress.held else ""
    more_expected = expected is not None and expected > progress.held
    if _is_released(progress) and coverage.complete and not more_expected and quiet_s >= policy.settle_s:
        reason = f"association released, {coverage.reason}, {policy.settle_s:g} s without a further instance{differs}"
        return CompletionDecision(True, RELEASED, reason, expected=expected)
    if quiet_s >= policy.quiet_s:
        reason = f"{policy.quiet_s:g} s without an instance; {coverage.reason}{differs}"
        return CompletionDecision(True, QUIET, reason, expected=expected)
    return None


def _is_released(progress: UnitProgress) -> bool:
    """Whether no association is open and the one that sent the latest instance ended with a release."""
    if any(association.open for association in progress.associations):
        return False
    latest = max(progress.associations, key=lambda association: association.last_instance_at, default=None)
    return latest is not None and not latest.aborted


def _next_check(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> datetime:
    """The first moment at which the passing of time alone may change the decision."""

    def after(moment: datetime, seconds: float) -> datetime:
        return moment + timedelta(seconds=seconds)

    moments = [after(progress.last_received_at, wait_s) for wait_s in (policy.count_delay_s, policy.settle_s, policy.quiet_s)]
    moments.append(after(progress.opened_at, policy.max_wait_s))
    moments += [after(association.last_instance_at, policy.quiet_s) for association in progress.associations if association.open]
    if progress.source_count.at is not None:
        moments.append(after(progress.source_count.at, policy.count_delay_s))
    if progress.undecided:
        moments.append(after(now, UNDECIDED_CHECK_S))
    soonest = after(now, SHORTEST_CHECK_S)
    return max(soonest, min((moment for moment in moments if moment > now), default=after(now, policy.count_delay_s)))
