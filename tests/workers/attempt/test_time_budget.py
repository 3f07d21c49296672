"""A budget of time ends what runs over it, and leaves a timer that was there before to go on."""

import signal
import threading
import time

import pytest

from workers.attempt.time_budget import OutOfTime, limited


def busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def test_what_takes_longer_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(OutOfTime), limited(0.1):
        busy(60)
    assert time.monotonic() - began < 30


def test_what_is_in_time_goes_through_and_nothing_comes_behind() -> None:
    before, _ = signal.getitimer(signal.ITIMER_REAL)  # the time-out of the test itself, where there is one
    with limited(0.3):
        busy(0.01)
    busy(0.6)
    after, _ = signal.getitimer(signal.ITIMER_REAL)
    assert after == 0 if not before else before - 60 < after < before


def test_a_timer_that_was_set_before_goes_on() -> None:
    rung = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: rung.set())
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(OutOfTime), limited(0.1):
            busy(60)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.95
        deadline = time.monotonic() + 30
        while not rung.is_set():
            assert time.monotonic() < deadline
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
