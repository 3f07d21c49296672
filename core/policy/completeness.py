"""When a unit of analysis is complete: by evidence, the timer last. Pure and deterministic.

In this order: a photograph at once; the sender's request for storage commitment, if it lists every instance held; the expected
count; the association released, the geometry whole and
`settle_s` without an instance; `quiet_s` without an instance; and, whatever is missing, `max_wait_s` at the latest.
An open association that still brings instances of the unit delays, until `quiet_s` has passed without one;
so do contents that are still being compared. (0020,1002) Images in Acquisition never decides: an acquisition is no series.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.policy.slice_coverage import Wholeness
from core.records import Evidence
from core.states import UnitKind

PHOTOGRAPH, REQUESTED, EXPECTED_COUNT = "photograph", "commitment_request", "expected_count"
RELEASED, QUIET, MAX_WAIT = "released", "quiet", "max_wait"
UNDECIDED_LOOK_S = 1.0
SHORTEST_LOOK_S = 0.05
_NOT_JUDGED = Wholeness(False, "geometry not judged")


@dataclass(frozen=True, slots=True)
class Policy:
    """``look_s``: how long after the last instance, and after the first count, the (second) count is taken."""

    settle_s: float
    quiet_s: float
    max_wait_s: float
    look_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Bringer:
    """An association that brought instances of the unit."""

    open: bool
    last_instance_at: datetime
    broken: bool = False  # it ended without a release: the sender will come again


@dataclass(frozen=True, slots=True)
class Counted:
    """What the source answered to C-FIND: the last look, and the look before (None: not looked, or no answer)."""

    count: int | None = None
    at: datetime | None = None
    before: int | None = None


NOT_COUNTED = Counted()


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of an open unit. ``opened_at``: when the first instance of this revision came.

    ``stated``: (0020,1209) where every instance that has it says the same, else None. ``requested``: how many of the unit a
    storage commitment request lists that came after the last instance, and of which nothing is missing here.
    """

    kind: UnitKind
    held: int
    undecided: int
    opened_at: datetime
    last_received_at: datetime
    bringers: tuple[Bringer, ...] = ()
    counted: Counted = NOT_COUNTED
    stated: int | None = None
    requested: int | None = None
    wholeness: Wholeness = _NOT_JUDGED


@dataclass(frozen=True, slots=True)
class Decision:
    """Complete by ``rule``, or not, in words; ``look_again_at`` is None once complete."""

    complete: bool
    rule: str
    reason: str
    look_again_at: datetime | None = None
    expected: int | None = None

    def evidence(self, held: int, at: datetime) -> Evidence:
        """The record that is stored with the unit."""
        return Evidence(rule=self.rule, reason=self.reason, at=at, held=held, expected=self.expected)


def decide(progress: Progress, policy: Policy, now: datetime) -> Decision:
    """Whether the unit is complete at ``now``, by which evidence, and when to look again if not."""
    quiet = (now - progress.last_received_at).total_seconds()
    delays = _delays(progress, policy, now)
    if not delays:
        found = _by_evidence(progress, policy, now, quiet)
        if found is not None:
            return found
    if now >= progress.opened_at + timedelta(seconds=policy.max_wait_s):
        missing = "; ".join(delays) or "no better evidence came"
        return Decision(True, MAX_WAIT, f"{policy.max_wait_s:g} s have passed since the first instance; {missing}")
    waiting = "; ".join(delays) if delays else f"{progress.held} held, {quiet:.0f} s quiet; {progress.wholeness.reason}"
    return Decision(False, "", waiting, look_again_at=_next_look(progress, policy, now))


def wants_count(progress: Progress, policy: Policy, now: datetime) -> bool:
    """Whether it is time to ask the source how many instances the series has: when it has gone quiet, and once more."""
    if progress.kind is UnitKind.IMAGE or _bringing(progress, policy, now):
        return False
    look = timedelta(seconds=policy.look_s)
    if now < progress.last_received_at + look:
        return False
    return progress.counted.at is None or now >= progress.counted.at + look


def _bringing(progress: Progress, policy: Policy, now: datetime) -> bool:
    quiet = timedelta(seconds=policy.quiet_s)
    return any(bringer.open and now < bringer.last_instance_at + quiet for bringer in progress.bringers)


def _delays(progress: Progress, policy: Policy, now: datetime) -> list[str]:
    delays = []
    if progress.held < 1:
        delays.append("no instance is held")
    if progress.undecided:
        delays.append(f"{progress.undecided} contents are still being compared")
    if progress.kind is not UnitKind.IMAGE and _bringing(progress, policy, now):
        delays.append("an open association still brings instances")
    return delays


def _by_evidence(progress: Progress, policy: Policy, now: datetime, quiet: float) -> Decision | None:
    held = progress.held
    if progress.kind is UnitKind.IMAGE:
        return Decision(True, PHOTOGRAPH, "a photograph is complete when it is received")
    counted = progress.counted
    counts_more = counted.count is not None and counted.count > held
    if progress.requested == held and not counts_more and quiet >= policy.look_s:
        return Decision(True, REQUESTED, f"the sender asked for storage commitment of {held} instances, all that are held", expected=held)
    current = counted.at is not None and counted.at >= progress.last_received_at
    if current and counted.count == held and counted.before == held:
        return Decision(True, EXPECTED_COUNT, f"the source counts {held} instances, twice, and {held} are held", expected=held)
    unanswered = counted.count is None
    if unanswered and progress.stated == held and quiet >= policy.look_s:
        reason = f"the instances state {held} in their series (0020,1209), and {held} are held, {policy.look_s:g} s later still"
        return Decision(True, EXPECTED_COUNT, reason, expected=held)
    expected = counted.count if counted.count is not None else progress.stated
    short = f"; {expected} were expected" if expected is not None and expected != held else ""
    released = _released(progress)
    more = expected is not None and expected > held
    if released and progress.wholeness.whole and not more and quiet >= policy.settle_s:
        reason = f"association released, {progress.wholeness.reason}, {policy.settle_s:g} s without a further instance{short}"
        return Decision(True, RELEASED, reason, expected=expected)
    if quiet >= policy.quiet_s:
        return Decision(True, QUIET, f"{policy.quiet_s:g} s without an instance; {progress.wholeness.reason}{short}", expected=expected)
    return None


def _released(progress: Progress) -> bool:
    """No association is open, and the one that brought the latest instance ended as it should."""
    if any(bringer.open for bringer in progress.bringers):
        return False
    latest = max(progress.bringers, key=lambda bringer: bringer.last_instance_at, default=None)
    return latest is not None and not latest.broken


def _next_look(progress: Progress, policy: Policy, now: datetime) -> datetime:
    """The first moment at which time alone may change the answer."""

    def after(moment: datetime, seconds: float) -> datetime:
        return moment + timedelta(seconds=seconds)

    last = progress.last_received_at
    moments = [after(last, policy.look_s), after(last, policy.settle_s), after(last, policy.quiet_s)]
    moments.append(after(progress.opened_at, policy.max_wait_s))
    moments += [after(bringer.last_instance_at, policy.quiet_s) for bringer in progress.bringers if bringer.open]
    if progress.counted.at is not None:
        moments.append(after(progress.counted.at, policy.look_s))
    if progress.undecided:
        moments.append(after(now, UNDECIDED_LOOK_S))
    soonest = after(now, SHORTEST_LOOK_S)
    return max(soonest, min((moment for moment in moments if moment > now), default=after(now, policy.look_s)))
