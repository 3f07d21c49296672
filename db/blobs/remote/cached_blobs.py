"""Blobs in a store on another machine. Files are written here first and become blobs when the store has confirmed them."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from core.clock import Clock, system_clock
from core.errors import StorageError
from core.failpoints import failpoint
from db.blobs.blob_ref import BlobRef
from db.blobs.file_system import disk_errors
from db.blobs.linked_file import LinkedFile
from db.blobs.remote.copies import Copies
from db.blobs.remote.remote_store import RemoteStore, StoredBlob
from db.blobs.store import Blobs, check_name
from db.blobs.temporary_file import TemporaryFile

FETCHES = 8  # at once: a series has hundreds of files, and each costs a round trip


class CachedBlobs(Blobs):
    """A store, and a folder with copies of the blobs that this machine wrote or read last.

    Parameters
    ----------
    root
        Folder of the copies (``root/ab/<sha256>``) and of temporary files (``root/tmp``).
    max_bytes
        Size of the copies that are kept.
    """

    def __init__(self, root: Path, store: RemoteStore, *, max_bytes: int, clock: Clock = system_clock) -> None:
        super().__init__(root, clock)
        self.store = store
        self._copies = Copies(root, max_bytes, clock)
        self._listed: dict[str, StoredBlob] = {}
        self._pool = ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch")  # starts no thread before it is used

    def path(self, sha256: str) -> Path:
        """Return the path of the copy of a blob, whether or not it exists. Raises StorageError where ``sha256`` is no hash."""
        check_name(sha256)
        return self.root / sha256[:2] / sha256

    def to_blob(self, file: TemporaryFile, sha256: str) -> LinkedFile:
        """Return the file as one that ``upload`` or ``sync`` sends to the store. No row that names it may be committed before."""
        path = self.path(sha256)
        failpoint("store.written")
        return _FileToStore(BlobRef(sha256, file.size_bytes), file, path, self.store, self._copies)

    def fetch(self, sha256: str) -> Path:
        """Return the copy of a blob; it is fetched, and its hash verified, where there is none.

        Raises
        ------
        StoreUnavailable
            The server does not answer.
        StorageError
            The store does not have the blob, or sent other content.
        """
        path = self.path(sha256)
        with suppress(FileNotFoundError), disk_errors_but_missing("a copy of a blob cannot be read"):
            os.utime(path)  # it is used
            return path
        size_bytes = 0
        with disk_errors("a copy of a blob cannot be written"):
            file = self.temporary()
            try:
                digest = hashlib.sha256()
                for part in self.store.get(sha256):
                    digest.update(part)
                    file.write(part)
                if digest.hexdigest() != sha256:
                    hint = "its storage is damaged: restore the blob from the PACS or a backup"
                    raise StorageError(f"{self.store.name} sent other content than blob {sha256[:12]}", hint=hint)
                size_bytes = file.size_bytes
                os.replace(file.path, path)
            finally:
                file.discard()
        self._copies.added(size_bytes)
        return path

    def fetch_all(self, hashes: Sequence[str]) -> list[Path]:
        """Return the copies of several blobs, in their order; several are fetched at once. Raises as `fetch`."""
        if all(self.path(sha256).is_file() for sha256 in hashes):
            return [self.fetch(sha256) for sha256 in hashes]
        return list(self._pool.map(self.fetch, hashes))

    def has(self, sha256: str) -> bool:
        """Whether the store has the blob, whatever copies there are here. Raises StoreUnavailable."""
        check_name(sha256)
        return self.store.has(sha256)

    def read(self, sha256: str) -> bytes:
        """Return the content of a blob, after comparing it with its hash; an altered copy is fetched anew. Raises as `fetch`."""
        content = self._read_copy(sha256)
        if hashlib.sha256(content).hexdigest() != sha256:
            self.drop_copy(sha256)
            content = self._read_copy(sha256)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StorageError(f"the copy of blob {sha256[:12]} is altered", hint="see the disk that holds store.cache_folder")
        return content

    def _read_copy(self, sha256: str) -> bytes:
        with self.pinned([sha256]), disk_errors("a copy of a blob cannot be read"):
            return self.fetch(sha256).read_bytes()

    def drop_copy(self, sha256: str) -> None:
        """Remove the copy of a blob, which is altered; the next reader fetches it anew."""
        with disk_errors("a copy of a blob cannot be removed"):
            self.path(sha256).unlink(missing_ok=True)

    def pinned(self, hashes: Sequence[str]) -> AbstractContextManager[None]:
        """Keep the copies of these blobs on this machine during the block."""
        return self._copies.pinned(hashes)

    def sweep(self, older_than_s: float) -> int:
        """Remove files that crashes left in ``tmp`` and return how many; copies beyond the limit are removed too."""
        self._copies.limit()
        return super().sweep(older_than_s)

    def remove(self, sha256: str) -> None:
        """Remove a blob that no row names, in the store and here; without effect if it does not exist."""
        check_name(sha256)
        self.store.remove(sha256)
        self.drop_copy(sha256)

    def folders(self) -> Iterator[list[str]]:
        """Yield the hashes of all blobs in the store, those with the same first two digits at a time. Raises StorageError."""
        for number in range(256):
            self._listed = {blob.ref.sha256: blob for blob in self.store.list_folder(f"{number:02x}")}
            yield list(self._listed)

    def size_if_older(self, sha256: str, days: int) -> int | None:
        """Return the size in bytes of a blob of the folder that `folders` yielded last, if it was stored more than ``days`` ago."""
        found = self._listed.get(sha256)
        old = found is not None and found.stored_at.timestamp() < self._clock().timestamp() - days * 86400.0
        return found.ref.size_bytes if found is not None and old else None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Raise StorageError: no lock keeps other machines from storing the same content at this moment."""
        message = f"orphaned blobs are counted in {self.store.name}, not removed: another machine may be storing the same content"
        raise StorageError(message, hint="set retention.strays_days = 0; they only cost space")
        yield

    def close(self) -> None:
        """Close the connections to the store, and end its threads."""
        self._pool.shutdown()
        self.store.close()

    @property
    def removes(self) -> bool:
        """Whether blobs can be removed from here."""
        return self.store.removes


@contextmanager
def disk_errors_but_missing(what: str) -> Iterator[None]:
    """Raise StorageError for errors of the operating system, and FileNotFoundError as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"{what}: {error.strerror or error}", hint="see the disk that holds store.cache_folder") from error


class _FileToStore(LinkedFile):
    """A temporary file that becomes a blob when the store has confirmed it. It needs no fsync here: the store has it."""

    def __init__(self, ref: BlobRef, file: TemporaryFile, path: Path, store: RemoteStore, copies: Copies) -> None:
        super().__init__(ref, file, str(path), str(path.parent), ordered=False)
        self._path, self._store, self._copies = path, store, copies
        self._uploaded = False

    def upload(self) -> None:
        """Send the file to the store, and keep it here as a copy; to be called before a transaction begins. A second call does nothing.

        Raises
        ------
        StoreUnavailable
            The store has not confirmed it. It may have it all the same: then it is an orphaned blob, or sent again.
        """
        if self._uploaded:
            return
        self._store.put(self.ref, Path(self._file.path))
        self._uploaded = True
        failpoint("store.confirmed")
        with suppress(OSError):  # the store has it; a copy is not needed
            os.replace(self._file.path, self._path)
        with suppress(StorageError):
            self._copies.added(self.ref.size_bytes)

    def sync(self) -> BlobRef:
        """Send the file to the store unless `upload` has. Raises as `upload`."""
        self.upload()
        return self.ref
