"""Opens the blobs as ``[store]`` says: the folder of this machine, an S3 server, or another node."""

from typing import TYPE_CHECKING

from core.settings.servers import StoreSection
from core.settings.settings import Settings
from db.blobs.reader import BlobReader, FolderReader
from db.blobs.store import Blobs

if TYPE_CHECKING:
    from db.blobs.remote.remote_store import RemoteStore


def open_blobs(settings: Settings) -> Blobs:
    """Open the blobs for reading and writing; creates the folder of the blobs or of their copies.

    Raises
    ------
    StorageError
        The folder cannot be made.
    ConfigurationError
        The certificate authority of the server cannot be read.
    """
    if not settings.store.url:
        return Blobs(settings.blobs_dir)
    from db.blobs.remote.cached_blobs import CachedBlobs  # most nodes need neither obstore nor its time to load

    return CachedBlobs(settings.blob_cache_dir, open_store(settings.store), max_bytes=settings.store.cache_bytes)


def open_reader(settings: Settings) -> BlobReader:
    """Open the blobs for reading only; where they are a folder of this machine, nothing is created. Raises as `open_blobs`."""
    return open_blobs(settings) if settings.store.url else FolderReader(settings.blobs_dir)


def open_store(settings: StoreSection) -> "RemoteStore":
    """Return the store of ``store.url``, which is not empty. No connection is opened.

    Raises
    ------
    ConfigurationError
        The certificate authority of the server cannot be used.
    """
    if settings.is_node:
        from db.blobs.remote.node_store import NodeBlobStore

        return NodeBlobStore(settings)
    from db.blobs.remote.s3_store import S3BlobStore

    return S3BlobStore(settings)
