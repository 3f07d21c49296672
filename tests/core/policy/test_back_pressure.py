"""Receiving pauses beyond a limit and goes on only at a distance from it."""

from hypothesis import given
from hypothesis import strategies as st

from core.policy.back_pressure import backlog_limit, disk_limit


def test_free_disk_space() -> None:
    assert [disk_limit(free, 1000).should_pause(False) for free in (999, 1000, 5000)] == [True, False, False]
    assert [disk_limit(free, 1000).should_pause(True) for free in (999, 1099, 1100)] == [True, True, False]


def test_backlog() -> None:
    assert [backlog_limit(waiting, 100).should_pause(False) for waiting in (100, 101)] == [False, True]
    assert [backlog_limit(waiting, 100).should_pause(True) for waiting in (101, 91, 90)] == [True, True, False]


@given(value=st.integers(0, 10**12), paused=st.booleans())
def test_no_limit_never_pauses(value: int, paused: bool) -> None:
    assert not disk_limit(value, 0).should_pause(paused)
    assert not backlog_limit(value, 0).should_pause(paused)


@given(limit=st.integers(10, 10**9), values=st.lists(st.integers(0, 10**9), max_size=30), is_minimum=st.booleans())
def test_the_state_is_stable_while_the_value_stays_the_same(limit: int, values: list[int], is_minimum: bool) -> None:
    make = disk_limit if is_minimum else backlog_limit
    paused = False
    for value in values:
        after = make(value, limit).should_pause(paused)
        assert make(value, limit).should_pause(after) == after  # measuring again changes nothing
        paused = after
