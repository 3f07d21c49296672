"""Delivery into a folder: each object is one file, which appears complete or not at all."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Self

from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from dicom_node.deliver.transport_types import EchoResult, OutgoingObject, SendResult
from dicom_node.statuses import SendOutcome


def file_name(sop_instance_uid: str) -> str:
    """Return the name of an object's file, from the hash of its UID: no identifier becomes a path, and the name is always the same."""
    return f"{sha256(sop_instance_uid.encode()).hexdigest()}.dcm"


class FolderTransport:
    """Writes files into the folder of a destination. The folder is not created: a missing one may be a file system that is not mounted."""

    def __init__(self, _settings: Settings, destination: Destination, _objects: Sequence[OutgoingObject]) -> None:
        self._folder = _folder(destination)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def send(self, outgoing: OutgoingObject) -> SendResult:
        """Write one file. The same object again replaces it."""
        if not self._folder.is_dir():
            reason = "the folder does not exist: is it mounted?"
            return SendResult(SendOutcome.TRANSIENT, reason, connection_lost=True, unreachable=True)
        try:
            _write(self._folder, file_name(outgoing.sop_instance_uid), outgoing.content)
        except OSError as error:
            reason = f"the file cannot be written: {error.strerror or type(error).__name__}"
            return SendResult(SendOutcome.TRANSIENT, reason, connection_lost=True)
        return SendResult(SendOutcome.STORED, "stored", 0)


def echo(_settings: Settings, destination: Destination, _timeout_s: float) -> EchoResult:
    """Check that a file can be created in the folder; it is removed again."""
    try:
        with tempfile.NamedTemporaryFile(dir=_folder(destination), prefix=".dicom-node-"):
            return EchoResult(True, "the folder can be written to")
    except OSError as error:
        return EchoResult(False, f"the folder cannot be written to: {error.strerror or type(error).__name__}")


def _folder(destination: Destination) -> Path:
    assert destination.folder is not None  # the table of transports has checked it
    return destination.folder


def _write(folder: Path, name: str, content: bytes) -> None:
    """Write a file beside its final place, and rename it once it is on the disk (fsync)."""
    descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=".dicom-node-", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(unfinished, 0o644)  # mkstemp makes files that no other user can read
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
