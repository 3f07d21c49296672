"""What a store of blobs on another machine has to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from core.errors import StorageError, StoreUnavailable
from db.blobs.blob_ref import BlobRef

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob in a list of the store."""

    ref: BlobRef
    stored_at: datetime


class RemoteStore(Protocol):
    """A store of blobs under their hashes. Every method may be called from several threads.

    Every method raises StoreUnavailable while the server does not answer, after the retries that ``store.timeout_s`` allows.

    Attributes
    ----------
    name
        The store in messages for the operator; without secrets.
    removes
        Whether blobs can be listed and removed.
    """

    name: str
    removes: bool

    def put(self, ref: BlobRef, file: Path) -> None:
        """Store a file; when this returns, the server has confirmed that the whole blob is stored. The same blob may be stored again."""
        ...

    def get(self, sha256: str) -> Iterator[bytes]:
        """Yield the content of a blob in parts. The caller verifies its hash. Raises StorageError where there is none."""
        ...

    def has(self, sha256: str) -> bool:
        """Whether the store has the blob."""
        ...

    def remove(self, sha256: str) -> None:
        """Remove a blob; without effect if it does not exist."""
        ...

    def list_folder(self, beginning: str) -> Iterator[StoredBlob]:
        """Yield every blob whose hash begins with these two hex digits."""
        ...

    def close(self) -> None:
        """Close connections that are kept; a further request opens new ones."""
        ...


def missing(store: RemoteStore, sha256: str) -> StorageError:
    """Return the error for a blob that the store does not have."""
    return StorageError(f"blob {sha256[:12]} is missing in {store.name}", hint="restore it from the PACS or a backup")


def unavailable(store: RemoteStore, what: str, error: object) -> StoreUnavailable:
    """Return the error for a server that does not answer. ``what``: ``reading`` or the like."""
    return StoreUnavailable(f"{what} in {store.name} failed: {error}", hint="it is repeated; see [store] and dicom-node doctor")
