"""Properties and examples of the completion rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.policy.completeness import (
    EXPECTED_COUNT,
    MAX_WAIT,
    MOVED,
    PHOTOGRAPH,
    QUIET,
    RELEASED,
    REQUESTED,
    count_is_due,
    decide_completion,
)
from core.policy.slice_coverage import SliceCoverage
from core.policy.unit_progress import CompletionPolicy, SendingAssociation, SourceCount, UnitProgress
from core.states import UnitKind

T0 = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
POLICY = CompletionPolicy(settle_s=10.0, quiet_s=30.0, max_wait_s=900.0, count_delay_s=2.0)
GAPLESS, WITH_GAP = SliceCoverage(True, "100 slices without gap"), SliceCoverage(False, "a gap")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def ct(**changes: object) -> UnitProgress:
    """A series of 100 slices; the last one arrived at 60 s on an association that was released."""
    progress = UnitProgress(UnitKind.SERIES, 100, 0, T0, at(60), (SendingAssociation(False, at(60)),), coverage=GAPLESS)
    return replace(progress, **changes)  # type: ignore[arg-type]


policies = st.builds(
    CompletionPolicy,
    settle_s=st.floats(0, 60),
    quiet_s=st.floats(0, 120),
    max_wait_s=st.floats(1, 2000),
    count_delay_s=st.floats(0.1, 10),
)
counts = st.one_of(st.none(), st.integers(0, 8))


@st.composite
def progresses(draw: st.DrawFn) -> UnitProgress:
    last = draw(st.floats(0, 1000))
    times = st.floats(0, last)
    associations = [SendingAssociation(draw(st.booleans()), at(draw(times)), draw(st.booleans())) for _ in range(draw(st.integers(0, 2)))]
    associations.append(SendingAssociation(draw(st.booleans()), at(last), draw(st.booleans())))
    is_counted = draw(st.booleans())
    source_count = SourceCount(draw(st.integers(0, 8)), at(draw(st.floats(0, 1200))), draw(counts)) if is_counted else SourceCount()
    return UnitProgress(
        kind=draw(st.sampled_from(UnitKind)),
        held=draw(st.integers(1, 8)),
        undecided=draw(st.integers(0, 1)),
        opened_at=T0,
        last_received_at=at(last),
        associations=tuple(associations),
        source_count=source_count,
        stated_count=draw(counts),
        commitment_count=draw(counts),
        coverage=draw(st.sampled_from([GAPLESS, WITH_GAP])),
    )


moments = st.floats(0, 4000).map(at)


@given(progresses(), policies, moments)
def test_no_decision_while_an_open_association_sends_instances(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> None:
    quiet = timedelta(seconds=policy.quiet_s)
    sending = any(association.open and now < association.last_instance_at + quiet for association in progress.associations)
    decision = decide_completion(progress, policy, now)
    if sending and progress.kind is UnitKind.SERIES:
        assert not decision.complete or decision.rule == MAX_WAIT


@given(progresses(), policies, moments)
def test_max_wait_decides_at_the_latest_and_never_before(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> None:
    decision = decide_completion(progress, policy, now)
    over = now >= progress.opened_at + timedelta(seconds=policy.max_wait_s)
    if over:
        assert decision.complete
    if decision.rule == MAX_WAIT:
        assert over


@given(progresses(), policies, moments, st.floats(0, 500))
def test_time_alone_never_revokes_a_decision(progress: UnitProgress, policy: CompletionPolicy, now: datetime, later_s: float) -> None:
    if decide_completion(progress, policy, now).complete:
        assert decide_completion(progress, policy, now + timedelta(seconds=later_s)).complete


@given(progresses(), policies, moments)
def test_a_count_decides_only_where_it_equals_the_instances_held(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> None:
    decision = decide_completion(progress, policy, now)
    if decision.rule == EXPECTED_COUNT:
        assert decision.expected == progress.held
        count = progress.source_count
        confirmed = count.count == count.previous == progress.held
        assert confirmed or (count.count is None and progress.stated_count == progress.held)
    if decision.rule == RELEASED and progress.source_count.count is not None:
        assert progress.source_count.count <= progress.held


@given(progresses(), policies, moments)
def test_contents_under_comparison_delay_the_decision(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> None:
    decision = decide_completion(progress, policy, now)
    if progress.undecided:
        assert not decision.complete or decision.rule == MAX_WAIT


@given(progresses(), policies, moments)
def test_an_incomplete_unit_has_a_reason_and_a_next_check(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> None:
    decision = decide_completion(progress, policy, now)
    assert decision.reason
    if decision.complete:
        assert decision.next_check_at is None
        assert decision.rule in (PHOTOGRAPH, REQUESTED, EXPECTED_COUNT, RELEASED, QUIET, MAX_WAIT)
        assert decision.evidence(progress.held, now).rule == decision.rule
    else:
        assert decision.next_check_at is not None
        assert decision.next_check_at > now


@given(progresses(), policies)
def test_following_the_next_checks_leads_to_a_decision(progress: UnitProgress, policy: CompletionPolicy) -> None:
    now, checks = progress.last_received_at, 0
    while not (decision := decide_completion(progress, policy, now)).complete:
        assert decision.next_check_at is not None
        now, checks = decision.next_check_at, checks + 1
        assert checks < 5000
    assert now <= progress.last_received_at + timedelta(seconds=policy.max_wait_s + 1)


@given(progresses(), policies, moments)
def test_a_photograph_is_complete_at_once(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> None:
    photograph = replace(progress, kind=UnitKind.IMAGE, undecided=0)
    assert decide_completion(photograph, policy, now).rule == PHOTOGRAPH
    assert not count_is_due(photograph, policy, now)


def test_released_and_without_gap_waits_for_the_settle_time() -> None:
    assert not decide_completion(ct(), POLICY, at(69.9)).complete
    decision = decide_completion(ct(), POLICY, at(70))
    assert (decision.complete, decision.rule) == (True, RELEASED)
    assert "association released" in decision.reason


def test_a_gap_or_an_aborted_association_waits_for_quiet() -> None:
    for progress in (ct(coverage=WITH_GAP), ct(associations=(SendingAssociation(False, at(60), aborted=True),))):
        assert not decide_completion(progress, POLICY, at(89)).complete
        assert decide_completion(progress, POLICY, at(90)).rule == QUIET


def test_a_released_association_after_an_aborted_one_counts_as_released() -> None:
    progress = ct(associations=(SendingAssociation(False, at(40), aborted=True), SendingAssociation(False, at(60))))
    assert decide_completion(progress, POLICY, at(70)).rule == RELEASED


def test_an_open_association_delays_only_until_quiet() -> None:
    progress = ct(associations=(SendingAssociation(True, at(60)),))
    assert "open association" in decide_completion(progress, POLICY, at(89)).reason
    assert decide_completion(progress, POLICY, at(90)).rule == QUIET


def test_the_expected_count_needs_a_second_answer() -> None:
    once = SourceCount(100, at(63))
    assert not decide_completion(ct(source_count=once), POLICY, at(64)).complete
    twice = SourceCount(100, at(65), 100)
    assert decide_completion(ct(source_count=twice), POLICY, at(65)).rule == EXPECTED_COUNT
    old = SourceCount(100, at(59), 100)  # before the last instance came
    assert not decide_completion(ct(source_count=old), POLICY, at(65)).complete


def test_a_higher_expected_count_prevents_completion_by_release() -> None:
    more = ct(source_count=SourceCount(120, at(65), 120))
    assert not decide_completion(more, POLICY, at(75)).complete
    decision = decide_completion(more, POLICY, at(90))
    assert (decision.rule, decision.expected) == (QUIET, 120)
    assert "120 were expected" in decision.reason


def test_the_stated_count_decides_where_the_source_gives_none() -> None:
    assert decide_completion(ct(stated_count=100), POLICY, at(62)).rule == EXPECTED_COUNT
    assert not decide_completion(ct(stated_count=100), POLICY, at(61)).complete
    assert not decide_completion(ct(stated_count=100, source_count=SourceCount(101, at(61))), POLICY, at(65)).complete


def test_the_count_is_due_when_instances_stop_and_once_more_later() -> None:
    assert not count_is_due(ct(), POLICY, at(61))
    assert count_is_due(ct(), POLICY, at(62))
    assert not count_is_due(ct(source_count=SourceCount(90, at(62))), POLICY, at(63))
    assert count_is_due(ct(source_count=SourceCount(90, at(62))), POLICY, at(64))
    assert not count_is_due(ct(associations=(SendingAssociation(True, at(60)),)), POLICY, at(64))


def test_a_commitment_request_for_all_instances_decides_once_no_more_arrive() -> None:
    requested = ct(commitment_count=100)
    assert not decide_completion(requested, POLICY, at(61)).complete
    decision = decide_completion(requested, POLICY, at(62))
    assert (decision.complete, decision.rule, decision.expected) == (True, REQUESTED, 100)
    assert "all that are held" in decision.reason
    assert decide_completion(ct(commitment_count=99), POLICY, at(62)).complete is False
    assert decide_completion(ct(commitment_count=100, associations=(SendingAssociation(True, at(60)),)), POLICY, at(62)).complete is False
    more = ct(commitment_count=100, source_count=SourceCount(120, at(61)))
    assert decide_completion(more, POLICY, at(62)).complete is False, "the source has more"


@given(progresses(), policies, moments)
def test_a_commitment_request_never_decides_for_fewer_instances(progress: UnitProgress, policy: CompletionPolicy, now: datetime) -> None:
    decision = decide_completion(progress, policy, now)
    if decision.rule == REQUESTED:
        assert progress.commitment_count == progress.held
        assert progress.undecided == 0


def test_a_unit_whose_instances_moved_to_another_ends_with_that_reason() -> None:
    moved = decide_completion(ct(held=0), POLICY, at(61))
    assert (moved.complete, moved.rule) == (True, MOVED)
    assert "in another series" in moved.reason
    assert not decide_completion(ct(held=0, undecided=1), POLICY, at(61)).complete
