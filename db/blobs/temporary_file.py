"""A file of ``tmp`` in the making: bytes without the name of a blob. Open from its first byte to its fsync."""

import os
from contextlib import suppress


class Temporary:
    """Whoever holds it discards it in the end; a crash leaves a file that ``Blobs.sweep`` removes."""

    __slots__ = ("descriptor", "path", "size_bytes")

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor = descriptor
        self.path = path
        self.size_bytes = 0

    def write(self, content: bytes | memoryview) -> None:
        """All of it. Raises OSError."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        self.size_bytes += len(content)

    def discard(self) -> None:
        """Close it, and remove its name in ``tmp``; what has a blob's name as well keeps that. Harmless twice."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # the bytes are safe already, or given up
                os.close(descriptor)
            with suppress(OSError):  # it has the blob's name alone, or is swept
                os.unlink(self.path)
