"""Lets the disk begin to write what was written to a file, without waiting for it (sync_file_range, Linux).

An fsync that follows finds less to write. It alone says that the bytes are on disk, and reports errors of this writing too.
"""

import ctypes
from collections.abc import Callable
from typing import cast

_SYNC_FILE_RANGE_WRITE = 2


def _find() -> Callable[[int, int, int, int], int] | None:
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)  # absent in other systems than Linux
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return cast("Callable[[int, int, int, int], int] | None", function)


_sync_file_range = _find()


def begin_writeback(descriptor: int, offset: int, size_bytes: int) -> None:
    """Start writing these bytes of an open file to disk. Without effect where the system or the file system cannot do it."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, size_bytes, _SYNC_FILE_RANGE_WRITE)
