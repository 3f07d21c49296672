"""Folders in memory for the servers of the tests."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")  # no waiting for a disk: a new database takes 0.1 s, not 1 s
NEEDED_BYTES = 2 << 30
PREFIX, LOCK = "dicom-node-tests-", "in-use"


def memory_folder(parent: Path = IN_MEMORY) -> Path:
    """Create a folder that is closed to other users, in memory where there is enough space; first delete those of ended processes.

    A run that is killed cannot delete its folder, and each takes some hundred megabytes of memory.
    """
    delete_abandoned(parent)
    enough = parent.is_dir() and shutil.disk_usage(parent).free > NEEDED_BYTES
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent if enough else None))
    lock = os.open(folder / "new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # stays open, and locked, until the process ends
    (folder / "new").rename(folder / LOCK)  # under this name it is never seen unlocked
    return folder


def delete_abandoned(parent: Path) -> None:
    """Delete the folders in ``parent`` whose lock no process holds."""
    for path in parent.glob(f"{PREFIX}*/{LOCK}"):
        try:
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # another process deletes it, or it is another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(path.parent, ignore_errors=True)
        finally:
            os.close(lock)
