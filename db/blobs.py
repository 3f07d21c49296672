"""Bytes on disk, named by their sha256: written beside, linked into place, fsynced with their name, never changed.

Naming and fsync are two acts, so that a row can be written while the disk works; it is committed behind both (decision 0038).
A crash at any instruction leaves at most a file in ``tmp``, which ``sweep`` removes, and a name that no row has: what comes in
under it again takes its place.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from core.clock import Clock, system_clock
from core.errors import StorageError
from core.steps import step
from db.records import BlobRef

CHUNK_BYTES = 1 << 20
# fsync of a file brings to disk every change of names that came before it: one journal, written in order.
ORDERED = frozenset({"ext4", "xfs"})
NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})
ALONE_TRIES, ALONE_WAIT_S = 300, 0.1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@contextmanager
def _storage_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what}: {error.strerror or error}", hint="see the disk that holds node.data_dir") from error


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_system_of(folder: Path) -> str:
    """Its type by the kernel's list of mounts; "" where that does not say (then nothing is assumed of it)."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    for fields, _, behind in (line.partition(" - ") for line in mounts):
        if fields.split()[2] == number:
            return behind.split()[0]
    return ""


@contextmanager
def _beside_others(root: str) -> Iterator[None]:
    """Who removes strays waits for the end of this block (`Blobs.alone`). Without locks there is nobody who removes them."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _checked(sha256: str) -> None:
    if not _SHA256.fullmatch(sha256):
        raise StorageError("a blob is named by 64 lower-case hex digits", hint="the name did not come from this node")


def _linked(source: str, target: str) -> bool:
    """Give the file a second name; False where that is taken, or cannot be."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        return False
    return True


class Named:
    """A blob with its bytes and its name, neither of them safe before ``sync``. ``mine``: the name is this file's already."""

    def __init__(self, ref: BlobRef, descriptor: int, source: str, target: str, root: str, *, mine: bool, ordered: bool) -> None:
        self.ref = ref
        self._descriptor = descriptor
        self._source = source
        self._target = target
        self._mine = mine
        self._ordered = ordered
        self._root = root

    def sync(self) -> BlobRef:
        """One fsync for bytes and name, where the file system keeps that order (decision 0029): safe when this returns. Once.

        Raises
        ------
        StorageError
            The disk did not take it: the name goes, unless it is another's.
        """
        with _storage_errors("the blob cannot be written"):
            try:
                os.fsync(self._descriptor)
                if not self._mine:  # what is there may be damaged, or another's that is not safe yet: ours is, and takes its place
                    with _beside_others(self._root):
                        os.replace(self._source, self._target)
                if not (self._mine and self._ordered):
                    folder = Path(self._target).parent
                    _fsync_folder(folder)
                    _fsync_folder(folder.parent)  # another process may have made the folder and not be here yet
            except OSError:
                with suppress(FileNotFoundError), _beside_others(self._root):
                    if os.path.samestat(os.fstat(self._descriptor), os.stat(self._target)):
                        os.unlink(self._target)  # its bytes may not be on disk
                raise
            step("blob.fsynced")
        self.close()
        return self.ref

    def close(self) -> None:
        """The temporary name goes. Without ``sync`` before, the blob is not kept: its name is swept later. Harmless twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
            with suppress(OSError):  # it has the blob's name alone, or is swept
                os.unlink(self._source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Blobs:
    """The folder of blobs: ``root/ab/cd/<sha256>`` and ``root/tmp``."""

    def __init__(self, root: Path, clock: Clock = system_clock) -> None:
        self.root = root
        self._clock = clock
        self.tmp_dir = root / "tmp"
        self._root, self._tmp = str(root), str(self.tmp_dir)  # a path object for each instance costs more than its hash
        with _storage_errors("the blob folder cannot be made"):
            self.tmp_dir.mkdir(parents=True, exist_ok=True)
            for number in range(256):
                (root / f"{number:02x}").mkdir(exist_ok=True)
            _fsync_folder(root)
        self._ordered = _file_system_of(root) in ORDERED

    def path(self, sha256: str) -> Path:
        """Where the blob of this hash lies, whether it exists or not.

        Raises
        ------
        StorageError
            ``sha256`` is not 64 lower-case hex digits: nothing else may become a path.
        """
        _checked(sha256)
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def open_temporary(self) -> tuple[int, str]:
        """A new file of ``tmp_dir`` to be written and then kept: its descriptor, and its path. Raises OSError."""
        path = f"{self._tmp}/{os.urandom(12).hex()}"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640), path

    def put(self, content: bytes) -> BlobRef:
        """Keep ``content``: safe on disk when this returns."""
        with _storage_errors("the blob cannot be written"):
            descriptor, path = self.open_temporary()
            try:
                try:
                    view = memoryview(content)
                    while view:
                        view = view[os.write(descriptor, view) :]
                finally:
                    os.close(descriptor)
                with self._name(path, hashlib.sha256(content).hexdigest()) as named:
                    return named.sync()
            except OSError:  # a full disk: what is half written goes, or it stays full
                Path(path).unlink(missing_ok=True)
                raise

    def adopt(self, path: Path | str, sha256: str = "") -> BlobRef:
        """Keep a file of ``tmp_dir``; the file itself is gone afterwards. Reads it once, 1 MiB at a time, where ``sha256`` is not given."""
        with self.name(path, sha256) as named:
            return named.sync()

    def name(self, path: Path | str, sha256: str = "") -> "Named":
        """Give a file of ``tmp_dir`` the name of a blob. No row that names it may be committed before ``Named.sync``."""
        with _storage_errors("the received file cannot be kept"):
            if not sha256:
                digest = hashlib.sha256()
                with open(path, "rb") as file:
                    while chunk := file.read(CHUNK_BYTES):
                        digest.update(chunk)
                sha256 = digest.hexdigest()
            return self._name(os.fspath(path), sha256)

    def _name(self, source: str, sha256: str) -> "Named":
        _checked(sha256)
        folder = f"{self._root}/{sha256[:2]}/{sha256[2:4]}"
        target = f"{folder}/{sha256}"
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            step("blob.written")
            os.fchmod(descriptor, 0o640)
            with suppress(FileExistsError):
                os.mkdir(folder)
            mine = _linked(source, target)
            step("blob.linked")
            ref = BlobRef(sha256, os.fstat(descriptor).st_size)
            return Named(ref, descriptor, source, target, self._root, mine=mine, ordered=self._ordered)
        except BaseException:
            os.close(descriptor)
            raise

    def read(self, sha256: str) -> bytes:
        """The bytes, verified.

        Raises
        ------
        StorageError
            Missing, or no longer what was kept.
        """
        with _storage_errors("a blob cannot be read"):
            content = self.path(sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StorageError(f"blob {sha256[:12]} is not what was kept", hint="the disk changed it: restore it from a backup")
        return content

    def sweep(self, older_than_s: float) -> int:
        """Remove what crashes left in ``tmp``; gives the number of files removed."""
        horizon, removed = self._clock().timestamp() - older_than_s, 0
        with _storage_errors("tmp cannot be swept"):
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
        with _storage_errors("a blob cannot be removed"), _beside_others(self._root):
            self.path(sha256).unlink(missing_ok=True)

    def folders(self) -> Iterator[list[str]]:
        """The hashes of all blobs, a first-level folder at a time."""
        with _storage_errors("the blobs cannot be listed"):
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
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _storage_errors("the blob folder cannot be had alone"):
                for left in range(ALONE_TRIES, -1, -1):
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if not left:
                            raise
                        time.sleep(ALONE_WAIT_S)
            yield
        finally:
            os.close(descriptor)

    def unlink(self, sha256: str) -> None:
        """As `remove`, for who is `alone`."""
        with _storage_errors("a blob cannot be removed"):
            self.path(sha256).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Room left on the disk."""
        with _storage_errors("the free space cannot be read"):
            return shutil.disk_usage(self.root).free
