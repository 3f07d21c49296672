"""A file in ``tmp`` that has no blob's name yet, open from its first byte to its fsync."""

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from typing import cast

_SYNC_FILE_RANGE_WRITE = 2


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)  # absent in other systems than Linux
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return cast("Callable[[int, int, int, int], int] | None", function)


_sync_file_range = _find_sync_file_range()


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
        """Start writing to disk what was written to the file since the last call, without waiting for it (sync_file_range, Linux).

        An fsync that follows finds less to write. It alone says that the bytes are on disk, and reports errors of this writing too. Without
        effect where the system or the file system cannot do it.
        """
        if _sync_file_range is not None:
            _sync_file_range(self.descriptor, self._begun_bytes, self.size_bytes - self._begun_bytes, _SYNC_FILE_RANGE_WRITE)
        self._begun_bytes = self.size_bytes

    def discard(self) -> None:
        """Close the file and remove its name in ``tmp``; the name of a blob remains. Calling it again has no effect."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # the bytes are on disk already, or not wanted
                os.close(descriptor)
            with suppress(OSError):  # the name was replaced by the blob's, or is swept later
                os.unlink(self.path)
