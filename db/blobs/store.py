"""Files named by the SHA-256 of their content: written in ``tmp``, linked into place, fsynced, never changed.

A crash at any instruction leaves at most a file in ``tmp``, which ``sweep`` removes, and a name without a row. Content that is received
again under that name replaces it.
"""

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from core.clock import Clock, system_clock
from core.errors import StorageError
from core.failpoints import failpoint
from db.blobs.blob_ref import BlobRef
from db.blobs.file_system import ORDERED, disk_errors, exclusive_access, file_system_of, fsync_folder, shared_access
from db.blobs.linked_file import LinkedFile
from db.blobs.temporary_file import TemporaryFile

MODE = 0o640
COPY_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_name(sha256: str) -> None:
    """Raise StorageError if ``sha256`` is not 64 lower-case hex digits: no other text may become part of a path or URL."""
    if not _SHA256.fullmatch(sha256):
        raise StorageError("a blob is named by 64 lower-case hex digits", hint="the name did not come from this node")


def blob_path(root: Path, sha256: str) -> Path:
    """Return the path of a blob below the folder of the blobs, whether or not it exists; for readers that keep no `Blobs`.

    Raises
    ------
    StorageError
        ``sha256`` is not 64 lower-case hex digits: no other text may become part of a path.
    """
    check_name(sha256)
    path = root / sha256[:2] / sha256
    former = _former_path(root, sha256)
    return former if not path.exists() and former.exists() else path


def _former_path(root: Path, sha256: str) -> Path:
    """Where nodes kept a blob before: in 65,536 folders. Nearly every instance of a new node had to make one, and to flush it."""
    return root / sha256[:2] / sha256[2:4] / sha256


class Blobs:
    """The folder of blobs: ``root/ab/<sha256>`` and ``root/tmp``. Blobs in ``root/ab/cd``, where they were before, are found too."""

    def __init__(self, root: Path, clock: Clock = system_clock) -> None:
        self.root = root
        self._clock = clock
        self.tmp_dir = root / "tmp"
        self._root, self._tmp = str(root), str(self.tmp_dir)  # strings: a Path per instance costs more than hashing it
        self._prefix, self._count = os.urandom(12).hex(), itertools.count()
        self._masked: bool | None = None  # whether the umask removes bits of MODE; None: not known yet
        with disk_errors("the blob folder cannot be made"):
            self.tmp_dir.mkdir(parents=True, exist_ok=True)
            with suppress(PermissionError):  # a mounted folder of another user, who has set its mode
                root.chmod(0o700)
            for number in range(256):
                (root / f"{number:02x}").mkdir(exist_ok=True)
            fsync_folder(root)
        self._ordered = file_system_of(root) in ORDERED

    def path(self, sha256: str) -> Path:
        """Return the path of the blob of this hash, whether or not it exists.

        Raises
        ------
        StorageError
            ``sha256`` is not 64 lower-case hex digits: no other text may become part of a path.
        """
        return blob_path(self.root, sha256)

    def fetch(self, sha256: str) -> Path:
        """Return the file of a blob for reading: here its path, whether or not it exists (`db.blobs.remote` fetches it)."""
        return self.path(sha256)

    def fetch_all(self, hashes: Sequence[str]) -> list[Path]:
        """Return the files of several blobs, in their order."""
        return [self.fetch(sha256) for sha256 in hashes]

    def has(self, sha256: str) -> bool:
        """Whether the blob exists."""
        return self.path(sha256).is_file()

    def pinned(self, hashes: Sequence[str]) -> AbstractContextManager[None]:
        """Keep the files of these blobs on this machine during the block; nothing is to do where they are not copies."""
        return nullcontext()

    def drop_copy(self, sha256: str) -> None:
        """Remove the copy of an altered blob, so that it is fetched anew; here the blob is no copy, and is kept."""

    @property
    def removes(self) -> bool:
        """Whether blobs can be removed from here."""
        return True

    def temporary(self) -> TemporaryFile:
        """Open a new file in ``tmp_dir``, to be written and then kept or discarded. Raises OSError."""
        while True:
            path = f"{self._tmp}/{self._prefix}-{next(self._count):x}"
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)  # read by `store_again` only
                break
            except FileExistsError:  # a process that was forked from this one has the same prefix
                self._prefix = os.urandom(12).hex()
        if self._masked is None:
            self._masked = os.fstat(descriptor).st_mode & 0o777 != MODE
        if self._masked:
            os.fchmod(descriptor, MODE)
        return TemporaryFile(descriptor, path)

    def put(self, content: bytes) -> BlobRef:
        """Write ``content`` as a blob; it is on disk when this returns."""
        with disk_errors("the blob cannot be written"):
            file = self.temporary()
            try:
                file.write(content)
                return self.adopt(file, hashlib.sha256(content).hexdigest())
            finally:  # an incomplete file would keep a full disk full
                file.discard()

    def adopt(self, file: TemporaryFile, sha256: str) -> BlobRef:
        """Make a temporary file the blob of this hash; it is on disk, and its temporary name removed, when this returns."""
        try:
            return self.to_blob(file, sha256).sync()
        finally:
            file.discard()

    def store_again(self, descriptor: int, sha256: str) -> BlobRef:
        """Store the bytes of an open file as a blob, whether or not it exists: a file that was removed has no name, but its bytes.

        Raises
        ------
        StorageError
            The disk reported an error.
        """
        with disk_errors("the blob cannot be written again"):
            copy, offset = self.temporary(), 0
            try:
                while part := os.pread(descriptor, COPY_BYTES, offset):
                    copy.write(part)
                    offset += len(part)
                return self.adopt(copy, sha256)
            finally:
                copy.discard()

    def to_blob(self, file: TemporaryFile, sha256: str) -> LinkedFile:
        """Return a temporary file as one that becomes the blob of this hash with ``LinkedFile.sync``.

        No row that names it may be committed before.
        """
        check_name(sha256)
        failpoint("blob.written")
        target = f"{self._root}/{sha256[:2]}/{sha256}"
        return LinkedFile(BlobRef(sha256, file.size_bytes), file, target, self._root, ordered=self._ordered)

    def read(self, sha256: str) -> bytes:
        """Return the content of a blob, after comparing it with its hash.

        Raises
        ------
        StorageError
            The blob is missing, or its content has changed.
        """
        with disk_errors("a blob cannot be read"):
            content = self.path(sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StorageError(f"the content of blob {sha256[:12]} has changed on disk", hint="restore it from a backup")
        return content

    def sweep(self, older_than_s: float) -> int:
        """Remove files that crashes left in ``tmp`` and return how many.

        Their age is taken by the clock of the file system: where machines share the folder, the clock of one that is minutes ahead would
        make a file look old while another machine is writing it.
        """
        removed = 0
        with disk_errors("tmp cannot be swept"):
            os.utime(self.tmp_dir)
            horizon = self.tmp_dir.stat().st_mtime - older_than_s
            for path in self.tmp_dir.rglob("*"):
                try:
                    if path.is_file() and path.stat().st_mtime < horizon:
                        path.unlink()
                        removed += 1
                except FileNotFoundError:
                    continue  # its writer has removed it
        return removed

    def remove(self, sha256: str) -> None:
        """Remove a blob that no row names; without effect if it does not exist."""
        with shared_access(self._root):
            self.unlink(sha256)

    def folders(self) -> Iterator[list[str]]:
        """Yield the hashes of all blobs, one first-level folder at a time."""
        with disk_errors("the blobs cannot be listed"):
            for number in range(256):
                found = set()
                for entry in os.scandir(self.root / f"{number:02x}"):
                    found.update(os.listdir(entry) if entry.is_dir() else [entry.name])
                yield [name for name in sorted(found) if _SHA256.fullmatch(name)]

    def size_if_older(self, sha256: str, days: int) -> int | None:
        """Return the size in bytes of a blob that was written more than ``days`` ago; None if it is younger or does not exist."""
        try:
            seen = self.path(sha256).stat()
        except FileNotFoundError:
            return None
        return seen.st_size if seen.st_mtime < self._clock().timestamp() - days * 86400.0 else None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other processes from removing or replacing blobs during the block; ``unlink`` may be called in it.

        Raises
        ------
        StorageError
            The file system has no locks, or another process has held its lock for too long.
        """
        with exclusive_access(self._root):
            yield

    def unlink(self, sha256: str) -> None:
        """Remove a blob within `exclusive`; without effect if it does not exist."""
        check_name(sha256)
        with disk_errors("a blob cannot be removed"):
            for path in (self.root / sha256[:2] / sha256, _former_path(self.root, sha256)):
                path.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return the free space of the disk in bytes."""
        with disk_errors("the free space cannot be read"):
            return shutil.disk_usage(self.root).free
