"""Blobs in a bucket of an S3 server. Keys: ``prefix/ab/<sha256>``.

The server answers a PUT after it has stored the object, and compares the SHA-256 that is sent with it: an object is never half a blob.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from core.errors import ConfigurationError
from core.settings.servers import StoreSection
from db.blobs.blob_ref import BlobRef
from db.blobs.remote.remote_store import CHUNK_BYTES, StoredBlob, missing, unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

Answer = TypeVar("Answer")
MULTIPART_BYTES = 64 << 20  # larger files are sent in parts, which are repeated one by one
CONNECT_TIMEOUT = timedelta(seconds=5)


class S3BlobStore:
    """A bucket, or a prefix in it.

    Raises
    ------
    ConfigurationError
        The certificate authority cannot be read.
    """

    removes = True

    def __init__(self, settings: StoreSection) -> None:
        parts = urlsplit(settings.url)
        self.name = f"S3 bucket {parts.netloc}"
        config: S3Config = {"region": settings.region, "checksum_algorithm": "SHA256"}
        if settings.endpoint:
            config |= {"endpoint": settings.endpoint, "virtual_hosted_style_request": False}
        if settings.access_key:
            config |= {"access_key_id": settings.access_key, "secret_access_key": settings.secret_key}
        timeout = timedelta(seconds=settings.timeout_s)
        client: ClientConfig = {"connect_timeout": min(CONNECT_TIMEOUT, timeout), "timeout": timeout}
        if settings.endpoint.startswith("http://"):
            client["allow_http"] = True
        if settings.ca is not None:
            try:
                client["root_certificate"] = settings.ca.read_bytes()
            except OSError as error:
                raise ConfigurationError(f"store.ca {settings.ca} cannot be read: {error.strerror}", hint="give a PEM file") from error
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=config,
            client_options=client,
            retry_config={"max_retries": 3, "retry_timeout": timeout, "backoff": {"max_backoff": timedelta(seconds=2)}},
        )

    def put(self, ref: BlobRef, file: Path) -> None:
        """Store a file; the server has confirmed it when this returns. Raises StoreUnavailable."""
        in_parts = ref.size_bytes > MULTIPART_BYTES
        self._ask("storing", lambda: obstore.put(self._store, _key(ref.sha256), file, use_multipart=in_parts))

    def get(self, sha256: str) -> Iterator[bytes]:
        """Yield the content of a blob. Raises StorageError where there is none, StoreUnavailable where the server does not answer."""
        try:
            for part in self._ask("reading", lambda: obstore.get(self._store, _key(sha256))).stream(CHUNK_BYTES):
                yield bytes(part)
        except FileNotFoundError as error:
            raise missing(self, sha256) from error
        except BaseError as error:
            raise unavailable(self, "reading", type(error).__name__) from error

    def has(self, sha256: str) -> bool:
        """Whether the bucket has the blob. Raises StoreUnavailable."""
        try:
            self._ask("looking for a blob", lambda: obstore.head(self._store, _key(sha256)))
        except FileNotFoundError:
            return False
        return True

    def remove(self, sha256: str) -> None:
        """Remove a blob; without effect if it does not exist. Raises StoreUnavailable."""
        try:
            self._ask("removing", lambda: obstore.delete(self._store, _key(sha256)))
        except FileNotFoundError:
            return

    def list_folder(self, beginning: str) -> Iterator[StoredBlob]:
        """Yield every blob whose hash begins with these two hex digits. Raises StoreUnavailable."""
        pages = obstore.list(self._store, beginning)
        while page := self._ask("listing", lambda: next(pages, None)):
            for entry in page:
                yield StoredBlob(BlobRef(entry["path"].rpartition("/")[2], entry["size"]), entry["last_modified"])

    def close(self) -> None:
        """Nothing is to be closed: obstore owns its connections."""

    def _ask(self, what: str, request: Callable[[], Answer]) -> Answer:
        """Return the answer to a request. Raises StoreUnavailable; FileNotFoundError where the object does not exist."""
        try:
            return request()
        except FileNotFoundError:
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise unavailable(self, what, "the server refuses the access key") from error
        except (BaseError, OSError) as error:
            raise unavailable(self, what, type(error).__name__) from error


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
