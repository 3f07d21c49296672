"""What the folder of blobs asks of its file system: errors with words, fsync of folders, and who may remove files now."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import StorageError

# fsync of a file brings to disk every change of names that came before it: one journal, written in order.
ORDERED = frozenset({"ext4", "xfs"})
ALONE_TRIES, ALONE_WAIT_S = 300, 0.1


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """The disk's errors as the node's own."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what}: {error.strerror or error}", hint="see the disk that holds node.data_dir") from error


def fsync_folder(folder: Path) -> None:
    """The names in it are safe when this returns. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_system_of(folder: Path) -> str:
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
def beside_others(root: str) -> Iterator[None]:
    """Who is `alone` waits for the end of this block. Without locks there is nobody who is."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone(root: str) -> Iterator[None]:
    """Nobody else is within `beside_others` of this folder meanwhile.

    Raises
    ------
    StorageError
        The file system has no locks, or somebody has held his for too long.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with storage_errors("the blob folder cannot be had alone"):
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
