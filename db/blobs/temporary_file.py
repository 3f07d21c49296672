"""A file in ``tmp`` that has no blob's name yet, open from its first byte to its fsync."""

import os
from contextlib import suppress


class TemporaryFile:
    """A file that is being written. Its owner discards it at the end; after a crash ``Blobs.sweep`` removes it."""

    __slots__ = ("descriptor", "path", "size_bytes")

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor = descriptor
        self.path = path
        self.size_bytes = 0

    def write(self, content: bytes | memoryview) -> None:
        """Write all of ``content``. Raises OSError."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        self.size_bytes += len(content)

    def discard(self) -> None:
        """Close the file and remove its name in ``tmp``; the name of a blob remains. Calling it again has no effect."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # the bytes are on disk already, or not wanted
                os.close(descriptor)
            with suppress(OSError):  # the name was replaced by the blob's, or is swept later
                os.unlink(self.path)
