"""Nothing is taken beyond a limit, and not again before there is some distance from it."""

from hypothesis import given
from hypothesis import strategies as st

from core.policy.back_pressure import disk, queue


def test_disk() -> None:
    assert [disk(free, 1000).paused(False) for free in (999, 1000, 5000)] == [True, False, False]
    assert [disk(free, 1000).paused(True) for free in (999, 1099, 1100)] == [True, True, False]


def test_queue() -> None:
    assert [queue(waiting, 100).paused(False) for waiting in (100, 101)] == [False, True]
    assert [queue(waiting, 100).paused(True) for waiting in (101, 91, 90)] == [True, True, False]


@given(value=st.integers(0, 10**12), now=st.booleans())
def test_no_limit_never_pauses(value: int, now: bool) -> None:
    assert not disk(value, 0).paused(now)
    assert not queue(value, 0).paused(now)


@given(limit=st.integers(10, 10**9), values=st.lists(st.integers(0, 10**9), max_size=30), least=st.booleans())
def test_who_is_paused_stays_so_at_the_same_value_and_turns_at_most_once_for_it(limit: int, values: list[int], least: bool) -> None:
    make = disk if least else queue
    paused = False
    for value in values:
        after = make(value, limit).paused(paused)
        assert make(value, limit).paused(after) == after  # measuring again changes nothing
        paused = after
