"""The table of stores: which one a URL means."""

from core.settings.servers import StoreSection
from db.blobs.remote.node_store import NodeBlobStore
from db.blobs.remote.remote_store import RemoteStore


def open_store(settings: StoreSection) -> RemoteStore:
    """Return the store of ``store.url``, which is not empty. No connection is opened.

    Raises
    ------
    ConfigurationError
        The certificate authority of the server cannot be used.
    """
    if settings.is_node:
        return NodeBlobStore(settings)
    from db.blobs.remote.s3_store import S3BlobStore  # obstore is loaded where it is used

    return S3BlobStore(settings)
