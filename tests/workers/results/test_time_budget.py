"""The time budget ends work that exceeds it, and lets an earlier timer continue."""

import signal
import threading
import time

import pytest

from workers.results.time_budget import OutOfTime, limited

FOREVER_S = 200.0


def busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def test_work_over_its_budget_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(OutOfTime), limited(0.1):
        busy(FOREVER_S)
    assert time.monotonic() - began < FOREVER_S


def test_work_within_its_budget_is_not_interrupted_later() -> None:
    before, _ = signal.getitimer(signal.ITIMER_REAL)  # the time-out of the test itself, where there is one
    with limited(FOREVER_S):
        busy(0.01)
    after, _ = signal.getitimer(signal.ITIMER_REAL)
    assert after == 0 if not before else 0 < after < before


def test_an_earlier_timer_continues() -> None:
    expired = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: expired.set())
    signal.setitimer(signal.ITIMER_REAL, FOREVER_S)
    try:
        with pytest.raises(OutOfTime), limited(0.1):
            busy(FOREVER_S)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= FOREVER_S - 0.05
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        while not expired.is_set():  # the earlier handler is installed again
            time.sleep(0.02)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_other_threads_have_no_limit() -> None:
    ended: list[str] = []

    def work() -> None:
        with limited(0.05):
            busy(0.3)
        ended.append("whole")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == ["whole"]
