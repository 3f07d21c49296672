"""Completion by evidence: what must never, and what must always be so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.policy.completeness import (
    EXPECTED_COUNT,
    MAX_WAIT,
    PHOTOGRAPH,
    QUIET,
    RELEASED,
    REQUESTED,
    Bringer,
    Counted,
    Policy,
    Progress,
    decide,
    wants_count,
)
from core.policy.slice_coverage import Wholeness
from core.states import UnitKind

T0 = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
POLICY = Policy(settle_s=10.0, quiet_s=30.0, max_wait_s=900.0, look_s=2.0)
WHOLE, BROKEN = Wholeness(True, "100 slices without gap"), Wholeness(False, "a gap")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def ct(**changes: object) -> Progress:
    """A series of 100 slices whose last one came at 60 s on an association that was released."""
    progress = Progress(UnitKind.SERIES, 100, 0, T0, at(60), (Bringer(False, at(60)),), wholeness=WHOLE)
    return replace(progress, **changes)  # type: ignore[arg-type]


policies = st.builds(
    Policy,
    settle_s=st.floats(0, 60),
    quiet_s=st.floats(0, 120),
    max_wait_s=st.floats(1, 2000),
    look_s=st.floats(0.1, 10),
)
counts = st.one_of(st.none(), st.integers(0, 8))


@st.composite
def progresses(draw: st.DrawFn) -> Progress:
    last = draw(st.floats(0, 1000))
    times = st.floats(0, last)
    bringers = [Bringer(draw(st.booleans()), at(draw(times)), draw(st.booleans())) for _ in range(draw(st.integers(0, 2)))]
    bringers.append(Bringer(draw(st.booleans()), at(last), draw(st.booleans())))
    looked = draw(st.booleans())
    counted = Counted(draw(st.integers(0, 8)), at(draw(st.floats(0, 1200))), draw(counts)) if looked else Counted()
    return Progress(
        kind=draw(st.sampled_from(UnitKind)),
        held=draw(st.integers(1, 8)),
        undecided=draw(st.integers(0, 1)),
        opened_at=T0,
        last_received_at=at(last),
        bringers=tuple(bringers),
        counted=counted,
        stated=draw(counts),
        requested=draw(counts),
        wholeness=draw(st.sampled_from([WHOLE, BROKEN])),
    )


moments = st.floats(0, 4000).map(at)


@given(progresses(), policies, moments)
def test_never_while_an_open_association_still_brings_instances(progress: Progress, policy: Policy, now: datetime) -> None:
    quiet = timedelta(seconds=policy.quiet_s)
    bringing = any(one.open and now < one.last_instance_at + quiet for one in progress.bringers)
    decision = decide(progress, policy, now)
    if bringing and progress.kind is UnitKind.SERIES:
        assert not decision.complete or decision.rule == MAX_WAIT


@given(progresses(), policies, moments)
def test_always_by_max_wait_and_never_late(progress: Progress, policy: Policy, now: datetime) -> None:
    decision = decide(progress, policy, now)
    over = now >= progress.opened_at + timedelta(seconds=policy.max_wait_s)
    if over:
        assert decision.complete
    if decision.rule == MAX_WAIT:
        assert over


@given(progresses(), policies, moments, st.floats(0, 500))
def test_time_alone_never_takes_a_decision_back(progress: Progress, policy: Policy, now: datetime, later_s: float) -> None:
    if decide(progress, policy, now).complete:
        assert decide(progress, policy, now + timedelta(seconds=later_s)).complete


@given(progresses(), policies, moments)
def test_a_count_decides_only_where_it_is_what_is_held(progress: Progress, policy: Policy, now: datetime) -> None:
    decision = decide(progress, policy, now)
    if decision.rule == EXPECTED_COUNT:
        assert decision.expected == progress.held
        known = progress.counted
        twice = known.count == known.before == progress.held
        assert twice or (known.count is None and progress.stated == progress.held)
    if decision.rule == RELEASED and progress.counted.count is not None:
        assert progress.counted.count <= progress.held


@given(progresses(), policies, moments)
def test_undecided_contents_delay(progress: Progress, policy: Policy, now: datetime) -> None:
    decision = decide(progress, policy, now)
    if progress.undecided:
        assert not decision.complete or decision.rule == MAX_WAIT


@given(progresses(), policies, moments)
def test_not_complete_says_when_to_look_again_and_why(progress: Progress, policy: Policy, now: datetime) -> None:
    decision = decide(progress, policy, now)
    assert decision.reason
    if decision.complete:
        assert decision.look_again_at is None
        assert decision.rule in (PHOTOGRAPH, REQUESTED, EXPECTED_COUNT, RELEASED, QUIET, MAX_WAIT)
        assert decision.evidence(progress.held, now).rule == decision.rule
    else:
        assert decision.look_again_at is not None
        assert decision.look_again_at > now


@given(progresses(), policies)
def test_looking_only_when_told_to_decides_in_the_end(progress: Progress, policy: Policy) -> None:
    now, looks = progress.last_received_at, 0
    while not (decision := decide(progress, policy, now)).complete:
        assert decision.look_again_at is not None
        now, looks = decision.look_again_at, looks + 1
        assert looks < 5000
    assert now <= progress.last_received_at + timedelta(seconds=policy.max_wait_s + 1)


@given(progresses(), policies, moments)
def test_a_photograph_waits_for_nothing(progress: Progress, policy: Policy, now: datetime) -> None:
    photograph = replace(progress, kind=UnitKind.IMAGE, undecided=0)
    assert decide(photograph, policy, now).rule == PHOTOGRAPH
    assert not wants_count(photograph, policy, now)


def test_released_and_whole_waits_for_the_settle_time() -> None:
    assert not decide(ct(), POLICY, at(69.9)).complete
    decision = decide(ct(), POLICY, at(70))
    assert (decision.complete, decision.rule) == (True, RELEASED)
    assert "association released" in decision.reason


def test_a_gap_or_a_broken_association_waits_for_quiet() -> None:
    for progress in (ct(wholeness=BROKEN), ct(bringers=(Bringer(False, at(60), broken=True),))):
        assert not decide(progress, POLICY, at(89)).complete
        assert decide(progress, POLICY, at(90)).rule == QUIET


def test_an_association_that_broke_and_was_made_good_is_released() -> None:
    progress = ct(bringers=(Bringer(False, at(40), broken=True), Bringer(False, at(60))))
    assert decide(progress, POLICY, at(70)).rule == RELEASED


def test_an_open_association_delays_only_until_quiet() -> None:
    progress = ct(bringers=(Bringer(True, at(60)),))
    assert "open association" in decide(progress, POLICY, at(89)).reason
    assert decide(progress, POLICY, at(90)).rule == QUIET


def test_the_expected_count_needs_a_second_look() -> None:
    once = Counted(100, at(63))
    assert not decide(ct(counted=once), POLICY, at(64)).complete
    twice = Counted(100, at(65), 100)
    assert decide(ct(counted=twice), POLICY, at(65)).rule == EXPECTED_COUNT
    old = Counted(100, at(59), 100)  # before the last instance came
    assert not decide(ct(counted=old), POLICY, at(65)).complete


def test_more_expected_than_held_is_evidence_against() -> None:
    more = ct(counted=Counted(120, at(65), 120))
    assert not decide(more, POLICY, at(75)).complete
    decision = decide(more, POLICY, at(90))
    assert (decision.rule, decision.expected) == (QUIET, 120)
    assert "120 were expected" in decision.reason


def test_stated_count_counts_where_the_source_says_nothing() -> None:
    assert decide(ct(stated=100), POLICY, at(62)).rule == EXPECTED_COUNT
    assert not decide(ct(stated=100), POLICY, at(61)).complete
    assert not decide(ct(stated=100, counted=Counted(101, at(61))), POLICY, at(65)).complete


def test_counts_are_asked_for_when_it_is_quiet_and_once_more() -> None:
    assert not wants_count(ct(), POLICY, at(61))
    assert wants_count(ct(), POLICY, at(62))
    assert not wants_count(ct(counted=Counted(90, at(62))), POLICY, at(63))
    assert wants_count(ct(counted=Counted(90, at(62))), POLICY, at(64))
    assert not wants_count(ct(bringers=(Bringer(True, at(60)),)), POLICY, at(64))


def test_the_request_for_commitment_of_all_that_is_held_decides_once_nothing_comes_any_more() -> None:
    asked = ct(requested=100)
    assert not decide(asked, POLICY, at(61)).complete
    decision = decide(asked, POLICY, at(62))
    assert (decision.complete, decision.rule, decision.expected) == (True, REQUESTED, 100)
    assert "all that are held" in decision.reason
    assert decide(ct(requested=99), POLICY, at(62)).complete is False
    assert decide(ct(requested=100, bringers=(Bringer(True, at(60)),)), POLICY, at(62)).complete is False
    assert decide(ct(requested=100, counted=Counted(120, at(61))), POLICY, at(62)).complete is False, "the source has more"


@given(progresses(), policies, moments)
def test_a_request_never_decides_for_less_than_is_held(progress: Progress, policy: Policy, now: datetime) -> None:
    decision = decide(progress, policy, now)
    if decision.rule == REQUESTED:
        assert progress.requested == progress.held
        assert progress.undecided == 0
