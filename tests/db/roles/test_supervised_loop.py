"""A supervised loop repeats its step until it is told to stop, survives every error, and logs an error once."""

import threading
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from core.errors import NodeError, StorageError
from db.roles import back_off
from db.roles.supervised_loop import SupervisedLoop


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back_off, "FIRST_PAUSE_S", 0.001)


def _steps(stop: threading.Event, *results: float | Exception) -> Callable[[], float]:
    """A step that returns or raises these in turn, and then stops the loop."""
    waiting = list(results)

    def step() -> float:
        if not waiting:
            stop.set()
            return 0.0
        result = waiting.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    return step


def test_waits_between_steps_only_where_no_more_work_waits() -> None:
    stop, waits = threading.Event(), list[float]()
    SupervisedLoop("test", _steps(stop, 0.5, 0.0, 1.5), stop, wait=waits.append).run()
    assert waits == [0.5, 1.5]


def test_errors_do_not_end_the_loop_and_are_logged_once() -> None:
    stop = threading.Event()
    unavailable = StorageError("the database does not respond", hint="start it")
    step = _steps(stop, unavailable, unavailable, NodeError("something else"), 0.0, ValueError("Doe^Jane"))
    with capture_logs() as logs:
        SupervisedLoop("test", step, stop).run()
    assert [(line["event"], line.get("error", line.get("exception"))) for line in logs] == [
        ("loop_failed", "the database does not respond (start it)"),
        ("loop_failed", "something else"),
        ("loop_recovered", None),
        ("loop_failed_unexpectedly", "ValueError"),
        ("loop_recovered", None),
    ]


def test_runs_in_a_thread_of_its_own_until_stopped() -> None:
    stop, called = threading.Event(), threading.Event()

    def step() -> float:
        called.set()
        return 60.0

    loop = SupervisedLoop("test", step, stop)
    loop.start()
    assert called.wait(600)
    stop.set()
    loop.join(600)
    assert "test" not in {thread.name for thread in threading.enumerate()}


def test_a_loop_that_is_stopped_before_its_first_step_makes_none() -> None:
    stop = threading.Event()
    stop.set()
    SupervisedLoop("test", lambda: pytest.fail("called"), stop, delay_s=60.0).run()
