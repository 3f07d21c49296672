"""Bytes on disk, named by their sha256: written beside, linked into place, fsynced with their name, never changed.

A crash at any instruction leaves at most a file in ``tmp``, which ``sweep`` removes, and a name that no row has: what comes in
under it again takes its place.
"""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.clock import Clock, system_clock
from core.errors import StorageError
from core.steps import step
from db.records import BlobRef

CHUNK_BYTES = 1 << 20
# fsync of a file brings to disk every change of names that came before it: one journal, written in order.
ORDERED = frozenset({"ext4", "xfs"})
NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})
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


class Blobs:
    """The folder of blobs: ``root/ab/cd/<sha256>`` and ``root/tmp``."""

    def __init__(self, root: Path, clock: Clock = system_clock) -> None:
        self.root = root
        self._clock = clock
        self.tmp_dir = root / "tmp"
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
        if not _SHA256.fullmatch(sha256):
            raise StorageError("a blob is named by 64 lower-case hex digits", hint="the name did not come from this node")
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def put(self, content: bytes, sha256: str = "") -> BlobRef:
        """Keep ``content``: safe on disk when this returns. ``sha256``: its hash, where the caller has it already."""
        with _storage_errors("the blob cannot be written"):
            descriptor, name = tempfile.mkstemp(dir=self.tmp_dir)
            try:
                with os.fdopen(descriptor, "wb", buffering=0) as file:
                    view = memoryview(content)
                    while view:
                        view = view[file.write(view) :]
                    step("blob.written")
                    return self._keep(descriptor, name, sha256 or hashlib.sha256(content).hexdigest(), len(content))
            except OSError:  # a full disk: what is half written goes, or it stays full
                Path(name).unlink(missing_ok=True)
                raise

    def adopt(self, path: Path, sha256: str = "") -> BlobRef:
        """Keep a file of ``tmp_dir``; the file itself is gone afterwards. Reads it once, 1 MiB at a time, where ``sha256`` is not given."""
        with _storage_errors("the received file cannot be kept"), path.open("rb") as file:
            if not sha256:
                digest = hashlib.sha256()
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
                sha256 = digest.hexdigest()
            return self._keep(file.fileno(), str(path), sha256, os.fstat(file.fileno()).st_size)

    def _keep(self, descriptor: int, source: str, sha256: str, size_bytes: int) -> BlobRef:
        """Name, then one fsync for bytes and name, where the file system keeps that order (decision 0029); no row names it before."""
        target = self.path(sha256)
        os.fchmod(descriptor, 0o640)
        with suppress(FileExistsError):
            target.parent.mkdir()
        named = self._name(source, target)
        step("blob.linked")
        try:
            os.fsync(descriptor)
            if not named:  # what is there may be damaged, or another's that is not safe yet: ours is, and takes its place
                os.replace(source, target)
            if not (named and self._ordered):
                _fsync_folder(target.parent)
                _fsync_folder(target.parent.parent)  # another process may have made the folder and not be here yet
        except OSError:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), target.stat()):
                    target.unlink()  # its bytes may not be on disk
            raise
        step("blob.fsynced")
        with suppress(FileNotFoundError):
            os.unlink(source)
        return BlobRef(sha256, size_bytes)

    @staticmethod
    def _name(source: str, target: Path) -> bool:
        """Give the file its name; False where that is taken, or cannot be a second one."""
        try:
            os.link(source, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            return False
        return True

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
        with _storage_errors("a blob cannot be removed"):
            self.path(sha256).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Room left on the disk."""
        with _storage_errors("the free space cannot be read"):
            return shutil.disk_usage(self.root).free
