"""Delivery into a folder: each object one file, there as a whole or not at all."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Self

from core.settings.destinations import Destination
from core.settings.settings import Settings
from dicom_node.deliver.transport_types import Echo, Parcel, Receipt
from dicom_node.statuses import Verdict


def file_name(sop_instance_uid: str) -> str:
    """Of the UID's hash: no identifier becomes a path, and the same object always has the same name."""
    return f"{sha256(sop_instance_uid.encode()).hexdigest()}.dcm"


class FolderTransport:
    """Written beside its place, on disk before it gets its name. The folder itself is the administrator's: it is not made."""

    def __init__(self, _settings: Settings, destination: Destination, _parcels: Sequence[Parcel]) -> None:
        self._folder = _folder(destination)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def send(self, parcel: Parcel) -> Receipt:
        """Write one file; the same object again takes the place of itself."""
        if not self._folder.is_dir():
            return Receipt(Verdict.TRANSIENT, "the folder is not there: is it mounted?", broken=True, away=True)
        try:
            _write(self._folder, file_name(parcel.sop_instance_uid), parcel.content)
        except OSError as error:
            return Receipt(Verdict.TRANSIENT, f"the file cannot be written: {error.strerror or type(error).__name__}", broken=True)
        return Receipt(Verdict.STORED, "stored", 0)


def echo(_settings: Settings, destination: Destination, _timeout_s: float) -> Echo:
    """Whether a file can be made there (it is removed again)."""
    try:
        with tempfile.NamedTemporaryFile(dir=_folder(destination), prefix=".dicom-node-"):
            return Echo(True, "the folder can be written to")
    except OSError as error:
        return Echo(False, f"the folder cannot be written to: {error.strerror or type(error).__name__}")


def _folder(destination: Destination) -> Path:
    assert destination.folder is not None  # the table of transports sees to it
    return destination.folder


def _write(folder: Path, name: str, content: bytes) -> None:
    descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=".dicom-node-", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(unfinished, 0o644)  # mkstemp's 0600 would keep the reader of the folder out
        os.replace(unfinished, folder / name)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
