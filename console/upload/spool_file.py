"""The file into which the pieces of one upload are appended. Its length is the offset at which the next piece begins."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MODE = 0o640


class PieceRefused(Exception):
    """A piece does not fit. ``offset`` is where the next one must begin; ``busy``: another request is writing the file."""

    def __init__(self, offset: int, *, busy: bool = False) -> None:
        super().__init__("the piece does not fit")
        self.offset = offset
        self.busy = busy


def spooled_length(folder: Path, file_id: int) -> int:
    """Return how many bytes of a file have arrived and are on disk."""
    try:
        return (folder / str(file_id)).stat().st_size
    except FileNotFoundError:
        return 0


class Piece:
    """A piece that is being appended. What has arrived of a piece that breaks off stays, so that nothing is sent twice."""

    def __init__(self, descriptor: int, offset: int, limit: int) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self.offset = offset

    def write(self, content: bytes) -> None:
        """Append bytes. Raises `PieceRefused` where the file would be longer than announced, and OSError where the disk is full."""
        if self.offset + len(content) > self._limit:
            raise PieceRefused(self.offset)
        rest = memoryview(content)
        while rest:
            written = os.write(self._descriptor, rest)
            self.offset += written
            rest = rest[written:]

    def sync(self) -> None:
        """Flush the bytes to the disk, before the answer says that they were stored."""
        os.fsync(self._descriptor)


@contextmanager
def open_piece(folder: Path, file_id: int, *, offset: int, size_bytes: int) -> Iterator[Piece]:
    """Open a file for a piece that begins at ``offset``; only one request at a time.

    Raises
    ------
    PieceRefused
        Another request writes the file, or it ends at another offset.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / str(file_id), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PieceRefused(os.fstat(descriptor).st_size, busy=True) from error
        length = os.fstat(descriptor).st_size
        if length != offset:
            raise PieceRefused(length)
        yield Piece(descriptor, length, size_bytes)
    finally:
        os.close(descriptor)


def remove_spooled(folder: Path, file_ids: list[int]) -> None:
    """Remove the bytes of cancelled files."""
    for file_id in file_ids:
        (folder / str(file_id)).unlink(missing_ok=True)
