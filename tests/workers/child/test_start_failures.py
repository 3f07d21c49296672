"""A worker whose children cannot start, one after the other, is told to stop, with the reason of the last child."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from core.errors import ModelError, StorageError
from workers.child.start_failures import MOST_FAILURES, StartFailures


@pytest.fixture
def stops() -> Iterator[list[int]]:
    """The signals to stop that this process has received."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


def in_child(act: Callable[[], None]) -> None:
    pid = os.fork()
    if not pid:
        act()
        os._exit(0)
    os.waitpid(pid, 0)


def test_the_worker_is_told_to_stop_after_some_in_a_row(stops: list[int]) -> None:
    failures = StartFailures()
    for _ in range(MOST_FAILURES - 1):
        in_child(lambda: failures.add(ImportError("no codec"), "ImportError: no codec"))
    in_child(failures.reset)
    for number in range(MOST_FAILURES):
        assert (failures.reason, stops) == ("", [])
        in_child(lambda number=number: failures.add(ModelError("x"), f"ModelError: number {number}"))  # type: ignore[misc]
    assert failures.reason == f"ModelError: number {MOST_FAILURES - 1}"
    assert stops == [signal.SIGTERM]


def test_what_may_pass_does_not_count(stops: list[int]) -> None:
    failures = StartFailures()
    for _ in range(2 * MOST_FAILURES):
        failures.add(StorageError("the database does not respond"), "StorageError")
    assert (failures.reason, stops) == ("", [])
