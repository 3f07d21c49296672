"""A full disk: the whole of it for some seconds, where the node has one of its own; and at each write by itself."""

import os
import random
import shutil
import time
from contextlib import suppress

from tests.chaos.ward import Ward

WRITES = ("blob.written", "blob.fsynced", "blob.linked")


def at_a_write(ward: Ward, dice: random.Random) -> None:
    """ENOSPC where a blob is written: at the listener or at the worker, whoever comes first."""
    ward.arms.arm(dice.choice(WRITES), "full")
    time.sleep(1.0)


def full(ward: Ward, dice: random.Random) -> None:
    """Nothing is left: for blobs, for PostgreSQL, for the broker."""
    if not ward.own_disk:
        at_a_write(ward, dice)
        return
    filler = ward.data / "filler"
    try:
        with filler.open("wb") as file, suppress(OSError):
            left = max(1, shutil.disk_usage(ward.data).free - dice.choice((0, 20_000, 200_000, 2_000_000)))
            os.posix_fallocate(file.fileno(), 0, left)
        time.sleep(dice.uniform(1.5, 5.0))
    finally:
        filler.unlink()
    ward.count("disk full")
