"""Bytes on disk, named by their sha256: written beside, linked into place, fsynced with their name, never changed.

A crash at any instruction leaves at most a file in ``tmp``, which ``sweep`` removes, and a name that no row has: what comes in
under it again takes its place.
"""

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.clock import Clock, system_clock
from core.errors import StorageError
from core.failpoints import failpoint
from db.blobs.file_system import ORDERED, alone, beside_others, file_system_of, fsync_folder, storage_errors
from db.blobs.linked_file import Named, link
from db.blobs.temporary_file import Temporary
from db.records import BlobRef

MODE = 0o640
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _checked(sha256: str) -> None:
    if not _SHA256.fullmatch(sha256):
        raise StorageError("a blob is named by 64 lower-case hex digits", hint="the name did not come from this node")


class Blobs:
    """The folder of blobs: ``root/ab/cd/<sha256>`` and ``root/tmp``."""

    def __init__(self, root: Path, clock: Clock = system_clock) -> None:
        self.root = root
        self._clock = clock
        self.tmp_dir = root / "tmp"
        self._root, self._tmp = str(root), str(self.tmp_dir)  # a path object for each instance costs more than its hash
        self._drawn, self._count = os.urandom(12).hex(), itertools.count()
        self._masked: bool | None = None  # whether the process' umask takes bits of MODE; not known yet
        with storage_errors("the blob folder cannot be made"):
            self.tmp_dir.mkdir(parents=True, exist_ok=True)
            for number in range(256):
                (root / f"{number:02x}").mkdir(exist_ok=True)
            fsync_folder(root)
        self._ordered = file_system_of(root) in ORDERED

    def path(self, sha256: str) -> Path:
        """Where the blob of this hash lies, whether it exists or not.

        Raises
        ------
        StorageError
            ``sha256`` is not 64 lower-case hex digits: nothing else may become a path.
        """
        _checked(sha256)
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def temporary(self) -> Temporary:
        """A new file of ``tmp_dir``, to be written and then kept or discarded. Raises OSError."""
        while True:
            path = f"{self._tmp}/{self._drawn}-{next(self._count):x}"
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
                break
            except FileExistsError:  # a process that was forked from this one draws the same
                self._drawn = os.urandom(12).hex()
        if self._masked is None:
            self._masked = os.fstat(descriptor).st_mode & 0o777 != MODE
        if self._masked:
            os.fchmod(descriptor, MODE)
        return Temporary(descriptor, path)

    def put(self, content: bytes) -> BlobRef:
        """Keep ``content``: safe on disk when this returns."""
        with storage_errors("the blob cannot be written"):
            file = self.temporary()
            try:
                file.write(content)
                return self.adopt(file, hashlib.sha256(content).hexdigest())
            finally:  # a full disk: what is half written goes, or it stays full
                file.discard()

    def adopt(self, file: Temporary, sha256: str) -> BlobRef:
        """Keep a file of this hash: safe on disk when this returns, and its temporary name gone."""
        with self.name(file, sha256) as named:
            return named.sync()

    def name(self, file: Temporary, sha256: str) -> Named:
        """Give a file the name of a blob. No row that names it may be committed before ``Named.sync``."""
        _checked(sha256)
        failpoint("blob.written")
        target = f"{self._root}/{sha256[:2]}/{sha256[2:4]}/{sha256}"
        with storage_errors("the blob cannot be named"):
            mine = link(file.path, target)
        failpoint("blob.linked")
        return Named(BlobRef(sha256, file.size_bytes), file, target, self._root, mine=mine, ordered=self._ordered)

    def read(self, sha256: str) -> bytes:
        """The bytes, verified.

        Raises
        ------
        StorageError
            Missing, or no longer what was kept.
        """
        with storage_errors("a blob cannot be read"):
            content = self.path(sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StorageError(f"blob {sha256[:12]} is not what was kept", hint="the disk changed it: restore it from a backup")
        return content

    def sweep(self, older_than_s: float) -> int:
        """Remove what crashes left in ``tmp``; gives the number of files removed."""
        horizon, removed = self._clock().timestamp() - older_than_s, 0
        with storage_errors("tmp cannot be swept"):
            for path in self.tmp_dir.rglob("*"):
                try:
                    if path.is_file() and path.stat().st_mtime < horizon:
                        path.unlink()
                        removed += 1
                except FileNotFoundError:
                    continue  # its writer was faster
        return removed

    def remove(self, sha256: str) -> None:
        """Forget a blob that no row names; harmless when it is gone."""
        with storage_errors("a blob cannot be removed"), beside_others(self._root):
            self.path(sha256).unlink(missing_ok=True)

    def folders(self) -> Iterator[list[str]]:
        """The hashes of all blobs, a first-level folder at a time."""
        with storage_errors("the blobs cannot be listed"):
            for number in range(256):
                found = []
                for folder in (self.root / f"{number:02x}").iterdir():
                    found += [entry.name for entry in folder.iterdir() if _SHA256.fullmatch(entry.name)]
                yield found

    def size_if_older(self, sha256: str, days: int) -> int | None:
        """The bytes of a blob that was written so long ago; None where it is younger, or gone."""
        try:
            seen = self.path(sha256).stat()
        except FileNotFoundError:
            return None
        return seen.st_size if seen.st_mtime < self._clock().timestamp() - days * 86400.0 else None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else removes a blob meanwhile, or gives a name that is taken to other bytes; ``unlink`` may be called.

        Raises
        ------
        StorageError
            The file system has no locks, or somebody has held his for too long.
        """
        with alone(self._root):
            yield

    def unlink(self, sha256: str) -> None:
        """As `remove`, for who is `alone`."""
        with storage_errors("a blob cannot be removed"):
            self.path(sha256).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Room left on the disk."""
        with storage_errors("the free space cannot be read"):
            return shutil.disk_usage(self.root).free
