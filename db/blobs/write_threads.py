"""Threads that write files while their callers receive, hash and parse: writing takes as long as all of that.

The page cache needs new pages, which can take a virtual machine five times as long as copying the bytes (docs/measurements-receive.md).
"""

import os
import threading
from collections import deque
from collections.abc import Callable

# One processor is left to the caller; where the other ones are busy, a thread gains nothing and costs a hand-off.
MOST_THREADS = max(1, min(4, (os.cpu_count() or 1) - 1))


class WriteThreads:
    """A few threads, started when they are needed. May be used from any thread."""

    def __init__(self) -> None:
        self._idle: deque[_WriteThread] = deque()
        self._started = 0
        self._lock = threading.Lock()

    def start(self, work: Callable[[], None]) -> bool:
        """Run ``work``, which raises nothing, in an idle thread. False where none is idle: nothing is run."""
        try:
            self._idle.pop().give(work)
            return True
        except IndexError:
            pass
        with self._lock:
            if self._started >= MOST_THREADS:
                return False
            try:
                _WriteThread(self._idle, work).start()
            except RuntimeError:  # the system has no thread left
                return False
            self._started += 1
        return True


class _WriteThread(threading.Thread):
    """Runs one piece of work after the other; idle in between."""

    def __init__(self, idle: "deque[_WriteThread]", work: Callable[[], None]) -> None:
        super().__init__(name="write-files", daemon=True)
        self._idle_threads = idle
        self._work = work
        self._given = threading.Lock()  # released for each piece of work: cheaper than threading.Event

    def give(self, work: Callable[[], None]) -> None:
        """Run this; only while idle."""
        self._work = work
        self._given.release()

    def run(self) -> None:
        """Work until the process ends."""
        while True:
            self._given.acquire()
            self._work()
            self._idle_threads.append(self)
