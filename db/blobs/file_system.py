"""What the blob folder needs of its file system: readable errors, fsync of folders, and locks for removing files."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import StorageError

# File systems with one ordered journal: fsync of a file also writes every change of names that was made before it.
ORDERED = frozenset({"ext4", "xfs"})
LOCK_TRIES, LOCK_WAIT_S = 300, 0.1


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Raise StorageError, beginning with ``what``, for errors of the operating system."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what}: {error.strerror or error}", hint="see the disk that holds node.data_dir") from error


def fsync_folder(folder: Path) -> None:
    """Write the names in a folder to disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_system_of(folder: Path) -> str:
    """Return the type of the file system by the kernel's list of mounts; empty where the list does not name it."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    for fields, _, rest in (line.partition(" - ") for line in mounts):
        if fields.split()[2] == number:
            return rest.split()[0]
    return ""


@contextmanager
def shared_access(root: str) -> Iterator[None]:
    """Hold a shared lock of the folder: a process in `exclusive_access` waits until this block ends.

    On file systems without locks, no other process can hold the folder exclusively.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_access(root: str) -> Iterator[None]:
    """Hold the folder's exclusive lock: no other process is within `shared_access` of it.

    Raises
    ------
    StorageError
        The file system has no locks, or another process has held its lock for too long.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with disk_errors("the blob folder cannot be locked"):
            for left in range(LOCK_TRIES, -1, -1):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not left:
                        raise
                    time.sleep(LOCK_WAIT_S)
        yield
    finally:
        os.close(descriptor)
