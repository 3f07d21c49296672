"""A limit of time for work that a result can go without."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTime(Exception):
    """The work took longer than its budget."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the work once ``seconds`` have passed; at once behind the native call that it is in.

    By a signal, because nothing else stops a computation in a process that goes on: in the main thread, where tasks run. A timer
    that was set before goes on afterwards. In another thread there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    armed = True

    def over(_: int, __: FrameType | None) -> None:
        if armed:
            raise OutOfTime

    handler = signal.signal(signal.SIGALRM, over)
    before, every = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        armed = False
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:
            signal.setitimer(signal.ITIMER_REAL, max(before - (seconds - left), 1e-3), every)
