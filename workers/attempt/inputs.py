"""Locates the input files of a job and verifies that they are unchanged since they were received."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.errors import ImagesDeleted, StorageError, StoreUnavailable
from core.records import UnitInput
from db.blobs import removals
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs.job_records import ClaimedJob


def located_inputs(blobs: Blobs, job: ClaimedJob) -> list[UnitInput]:
    """Return the inputs of a job with the absolute paths of their files; they are fetched where the blobs are on another machine.

    Raises
    ------
    StorageError
        A blob cannot be fetched.
    """
    return locate(blobs, job.inputs)


def locate(blobs: Blobs, entries: Sequence[UnitInput]) -> list[UnitInput]:
    """Return the inputs with the absolute paths of their files. Raises as `located_inputs`."""
    paths = blobs.fetch_all([entry.sha256 for entry in entries])
    return [replace(entry, path=str(path)) for entry, path in zip(entries, paths, strict=True)]


def verified_paths(database: Database, blobs: Blobs, job: ClaimedJob) -> list[Path]:
    """Return the paths of a job's inputs, after reading each file once to verify its hash.

    Raises
    ------
    ImagesDeleted
        Retention has removed some of them.
    StorageError
        A blob is missing or altered.
    """
    try:
        entries = located_inputs(blobs, job)
        for entry in entries:
            _verify_or_drop(blobs, entry)
    except StoreUnavailable:
        raise
    except StorageError as error:
        if not (count := removals.count_removed_inputs(database, job.id)):
            raise
        words = f"{count} of its {len(job.inputs)} images had been deleted by the node's retention when another one was received"
        raise ImagesDeleted(words, hint="send the whole series again, then dicom-node jobs requeue") from error
    return [Path(entry.path) for entry in entries]


def _verify_or_drop(blobs: Blobs, entry: UnitInput) -> None:
    """Verify one file; an altered copy is removed, so that the next attempt fetches it anew. Raises StorageError."""
    try:
        verify(Path(entry.path), entry.sha256)
    except StorageError:
        blobs.drop_copy(entry.sha256)
        raise


def verify(path: Path, sha256: str) -> None:
    """Read a blob and compare its hash with the one it had when it was received.

    Raises
    ------
    StorageError
        The blob is missing or altered.
    """
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(
            f"blob {sha256[:12]} cannot be read: {error.strerror}", hint="does this worker see node.data_dir/blobs?"
        ) from error
    if found != sha256:
        raise StorageError(f"blob {sha256[:12]} is altered: its content has hash {found[:12]}", hint="restore it from the PACS or a backup")
