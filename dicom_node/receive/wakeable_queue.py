"""Queues between the threads of an association that wake who reads them."""

import queue
from collections.abc import Callable
from typing import Any


class Ringing(queue.Queue[Any]):
    """A queue that wakes its reader, wherever that waits."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._ring()
