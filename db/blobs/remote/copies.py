"""Limits the copies of blobs in a folder: the least recently used are removed, except what a process is reading.

A process says which blobs it is reading in a file that it holds locked (``pins``), so that no copy is removed between fetching it and
opening it. When the process dies the kernel releases the lock, and the next process that removes copies deletes the file.
"""

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from core.clock import Clock
from db.blobs.file_system import disk_errors

LEFT = 0.9  # of the limit remains when copies are removed
RESCAN = 64  # the folder is measured again after each 1/64 of the limit, because other processes add copies too
KEPT_S = 24 * 3600.0  # a copy that was not used for a day is removed: retention may have deleted its blob


class Copies:
    """The copies below ``root`` (``ab/<sha256>``), up to ``max_bytes``; what is being read is kept beyond that."""

    def __init__(self, root: Path, max_bytes: int, clock: Clock) -> None:
        self._root, self._max_bytes, self._clock = root, max_bytes, clock
        self._pins = root / "pins"
        self._lock = threading.Lock()
        self._added = max_bytes + 1  # measured at the first copy
        with disk_errors("the folder of the copies cannot be made"):
            self._pins.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def pinned(self, hashes: Sequence[str]) -> Iterator[None]:
        """Keep the copies of these blobs during the block, those included that are fetched in it."""
        path = self._pins / os.urandom(8).hex()
        with disk_errors("the copies in use cannot be recorded"):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            with disk_errors("the copies in use cannot be recorded"):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                os.write(descriptor, "\n".join(hashes).encode())
            yield
        finally:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)

    def added(self, size_bytes: int) -> None:
        """Count a new copy, and remove others where the limit may be exceeded. Raises StorageError."""
        with self._lock:
            self._added += size_bytes
            if self._added <= self._max_bytes // RESCAN:
                return
            self._added = 0
        self.limit()

    def limit(self) -> int:
        """Remove the least recently used copies beyond the limit, and those not used for a day; return how many. Raises StorageError."""
        with disk_errors("the copies of blobs cannot be removed"):
            copies = sorted(self._list())
            total, removed = sum(size for _, size, _ in copies), 0
            target = self._max_bytes if total <= self._max_bytes else int(self._max_bytes * LEFT)
            horizon = self._clock().timestamp() - KEPT_S
            pinned = self._pinned() if total > target or (copies and copies[0][0] < horizon) else frozenset()
            for used_at, size, path in copies:
                if total <= target and used_at >= horizon:
                    break
                if path.name not in pinned:
                    path.unlink(missing_ok=True)
                    total, removed = total - size, removed + 1
        return removed

    def _list(self) -> Iterator[tuple[float, int, Path]]:
        """Yield time of last use, size in bytes and path of every copy."""
        for number in range(256):
            for entry in os.scandir(self._root / f"{number:02x}"):
                if entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        seen = entry.stat()
                        yield seen.st_mtime, seen.st_size, Path(entry.path)

    def _pinned(self) -> frozenset[str]:
        """Return the hashes of all blobs that living processes are reading."""
        found: set[str] = set()
        for path in self._pins.iterdir():
            with suppress(FileNotFoundError), path.open("r+") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.update(stream.read().split())
                else:
                    path.unlink()  # its process has died
        return frozenset(found)
