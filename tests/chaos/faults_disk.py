"""Faults of the disk: full for some seconds, where the node has a file system of its own; or at a single write."""

import os
import random
import shutil
import time
from contextlib import suppress

from tests.chaos.node_under_test import NodeUnderTest

WRITES = ("blob.written", "blob.fsynced", "blob.linked")


def fail_one_write(target: NodeUnderTest, rng: random.Random) -> None:
    """Inject ENOSPC where a blob is written next, by the listener or by a worker."""
    target.failpoints.arm(rng.choice(WRITES), "full")
    time.sleep(1.0)


def fill_disk(target: NodeUnderTest, rng: random.Random) -> None:
    """Fill the file system of blobs, PostgreSQL and broker."""
    if not target.has_own_disk:
        fail_one_write(target, rng)
        return
    filler = target.data / "filler"
    try:
        with filler.open("wb") as file, suppress(OSError):
            size = max(1, shutil.disk_usage(target.data).free - rng.choice((0, 20_000, 200_000, 2_000_000)))
            os.posix_fallocate(file.fileno(), 0, size)
        time.sleep(rng.uniform(1.5, 5.0))
    finally:
        filler.unlink()
    target.count("disk full")
