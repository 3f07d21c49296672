"""Checks of this machine: disk, clock, codecs, GPU, models, blobs."""

import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from core.clock import system_clock
from core.errors import ModelError
from core.settings.settings import Settings
from deploy.doctor.check import Check
from deploy.doctor.codecs import broken_decoders

MINIMUM_FREE_BYTES = 5 << 30
CLOCK_TOLERANCE_S = 5.0
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)  # a clock before this was never set


def check_disk(settings: Settings) -> Iterator[Check]:
    """Check free space, write permission, and the clock of this machine against that of the file system."""
    folder = settings.node.data_dir
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free, needed = shutil.disk_usage(existing).free, max(MINIMUM_FREE_BYTES, settings.receive.min_free_bytes)
    enough = free >= needed
    fix = "" if enough else f"at least {needed / 1e9:.0f} GB have to be free: delete files, or use a larger disk"
    yield Check("disk", enough, f"{free / 1e9:.1f} GB free at {existing}", fix)
    writable = os.access(existing, os.W_OK)
    found = f"{folder} {'can' if writable else 'cannot'} be written"
    yield Check("data folder", writable, found, "" if writable else "change its owner, or node.data_dir")
    now, mtime = system_clock(), _file_system_time(existing) if writable else None
    correct = now > EARLIEST and (mtime is None or abs(now.timestamp() - mtime) < CLOCK_TOLERANCE_S)
    yield Check("clock", correct, now.isoformat(timespec="seconds"), "" if correct else "set the clock: run an NTP client")


def check_codecs() -> Iterator[Check]:
    """Check that an image of every compressed transfer syntax is decoded correctly."""
    broken, working = broken_decoders()
    yield Check("codecs", not broken, f"{working} transfer syntaxes decode", "; ".join(broken))


def check_gpu(settings: Settings) -> Iterator[Check]:
    """Check that there is a GPU where the settings require one."""
    if importlib.util.find_spec("torch") is None:
        yield Check("GPU", True, "torch is not installed here: this machine runs no worker")
        return
    from models.runtime import describe_devices

    found, cuda = describe_devices()
    ok = cuda or settings.worker.device != "cuda"
    yield Check("GPU", ok, found, "" if ok else "worker.device is cuda: install the driver, or set it to auto")


def check_models(settings: Settings) -> Iterator[Check]:
    """Check that every card can be read, and that weights have the hash that their card states, as far as they are here."""
    from models import installed, registry

    folder = settings.node.data_dir / installed.FOLDER
    usable, here = [], True
    for name in installed.names(folder):
        for damaged in installed.damaged_versions(name, folder):
            yield Check(f"model {name} {damaged.version}", False, damaged.problem, damaged.fix)
        for place in installed.readable_versions(name, folder):
            version = f"{name} {place.card.version}"
            try:
                here = registry.check_weights(place.folder) and here
            except ModelError as error:
                yield Check(f"model {version}", False, str(error.args[0]), error.hint)
            else:
                usable.append(version)
    weights = "the weights have the hashes of the cards" if here else "the worker has the weights and checks them"
    yield Check("models", bool(usable), f"{', '.join(usable) or 'none'}: {weights}")


def check_blobs(settings: Settings) -> Iterator[Check]:
    """Check that a blob can be written, read and deleted."""
    from db.blobs.open_blobs import open_blobs

    began = time.monotonic()
    blobs = open_blobs(settings)
    # On another node the blob cannot be removed: the same one is written each time.
    content = f"dicom-node doctor {os.getpid() if blobs.removes else ''}".encode()
    reference = blobs.put(content)
    blobs.drop_copy(reference.sha256)
    same = blobs.read(reference.sha256) == content
    if blobs.removes:
        blobs.remove(reference.sha256)
    place = settings.store.url or settings.blobs_dir
    yield Check("blobs", same, f"written and read in {(time.monotonic() - began) * 1000:.0f} ms at {place}")


def _file_system_time(folder: Path) -> float:
    """Return the time that a new file gets. On a network file system it is that of another machine's clock."""
    path = folder / f".dicom-node-doctor-{os.getpid()}"
    try:
        with path.open("xb"):
            return path.stat().st_mtime
    finally:
        path.unlink()
