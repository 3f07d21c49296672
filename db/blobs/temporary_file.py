"""A file in ``tmp`` that has no blob's name yet, open from its first byte to its fsync."""

import os
from contextlib import suppress

from db.blobs.writeback import begin_writeback


class TemporaryFile:
    """A file that is being written. Its owner discards it at the end; after a crash ``Blobs.sweep`` removes it."""

    __slots__ = ("_begun_bytes", "descriptor", "path", "size_bytes")

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor = descriptor
        self.path = path
        self.size_bytes = 0
        self._begun_bytes = 0

    def write(self, content: bytes | memoryview) -> None:
        """Write all of ``content``. Raises OSError."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        self.size_bytes += len(content)

    def begin_writeback(self) -> None:
        """Let the disk begin with what was written since the last call; nothing is waited for, and nothing is promised."""
        begin_writeback(self.descriptor, self._begun_bytes, self.size_bytes - self._begun_bytes)
        self._begun_bytes = self.size_bytes

    def discard(self) -> None:
        """Close the file and remove its name in ``tmp``; the name of a blob remains. Calling it again has no effect."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # the bytes are on disk already, or not wanted
                os.close(descriptor)
            with suppress(OSError):  # the name was replaced by the blob's, or is swept later
                os.unlink(self.path)
