"""Reading of blobs by processes that write none, such as the console; their data folder may be read-only or missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from db.blobs.store import blob_path


class BlobReader(Protocol):
    """Gives the files of blobs."""

    def fetch(self, sha256: str) -> Path:
        """Return the file of a blob; it may be missing where the store is the folder of this machine."""
        ...

    def fetch_all(self, hashes: Sequence[str]) -> list[Path]:
        """Return the files of several blobs, in their order."""
        ...


class FolderReader:
    """Reads the blob folder of this machine and creates nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def fetch(self, sha256: str) -> Path:
        """Return the path of a blob, whether or not it exists. Raises StorageError where ``sha256`` is no hash."""
        return blob_path(self._root, sha256)

    def fetch_all(self, hashes: Sequence[str]) -> list[Path]:
        """Return the paths of several blobs, in their order."""
        return [self.fetch(sha256) for sha256 in hashes]
