"""Wakes the loops of a process that wait for work, so that they check the database before their polling interval is over."""

import threading


class WakeUp:
    """Shared by the loops of one role. Each loop waits in a `WakeUpWait` of its own, and `wake_all` ends the waits of all."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._condition = threading.Condition()
        self._count = 0

    def wake_all(self) -> None:
        """End the waits of all loops; the next wait of a loop that is working ends at once."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def subscribe(self) -> "WakeUpWait":
        """Return the wait of one loop: a function for `SupervisedLoop`."""
        return WakeUpWait(self)

    def _wait(self, seen: int, timeout_s: float) -> int:
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen or self._stop.is_set(), timeout_s)
            return self._count


class WakeUpWait:
    """The wait of one loop. It remembers which wake-ups it has seen, so that none is lost while the loop works."""

    def __init__(self, wake_up: WakeUp) -> None:
        self._wake_up = wake_up
        self._seen = 0

    def __call__(self, timeout_s: float) -> None:
        """Wait for a wake-up that came after the previous wait, at most ``timeout_s``; not at all once the role stops."""
        self._seen = self._wake_up._wait(self._seen, timeout_s)
