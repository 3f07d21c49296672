"""A file that stays readable while an object holds it, also after the blob store has removed its name."""

import os
import weakref
from pathlib import Path


class HeldFile:
    """An open file without a position of its own, so that threads may read it at the same time. Closed with the last reference."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be opened."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes = os.fstat(self._descriptor).st_size
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``; fewer at the end of the file."""
        return os.pread(self._descriptor, max(0, min(length, self.size_bytes - offset)), offset)
