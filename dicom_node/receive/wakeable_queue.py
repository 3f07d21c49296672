"""Queue between two threads of an association that wakes the thread that reads it."""

import queue
from collections.abc import Callable
from typing import Any


class WakeableQueue(queue.Queue[Any]):
    """A queue that calls ``wake`` after each item: its reader may be blocked on something else than the queue, such as a socket."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item, and wake the reader."""
        super().put(item, block, timeout)
        self._wake()
