"""A time limit for work that a result can do without."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTime(Exception):
    """The work took longer than its budget."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the enclosed work once ``seconds`` have passed, as soon as the native call in progress returns.

    Uses SIGALRM, because nothing else interrupts a computation in a process that goes on. It therefore works in the main thread only,
    where Celery runs tasks; in other threads there is no limit. A timer that was set before continues afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    armed = True

    def expired(_: int, __: FrameType | None) -> None:
        if armed:
            raise OutOfTime

    handler = signal.signal(signal.SIGALRM, expired)
    previous_s, interval_s = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        armed = False
        left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if previous_s:
            signal.setitimer(signal.ITIMER_REAL, max(previous_s - (seconds - left_s), 1e-3), interval_s)
