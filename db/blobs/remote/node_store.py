"""Blobs of another node, over HTTPS by their hash (`dicom_node.blob_service` is the other end)."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from core.errors import StorageError
from core.settings.peers.tls import ClientTls
from core.settings.servers import StoreSection
from core.tls import client_context
from db.blobs.blob_ref import BlobRef
from db.blobs.remote.remote_store import CHUNK_BYTES, StoredBlob, missing, unavailable

OK, STORED, NOT_FOUND, REFUSED = 200, 201, 404, (401, 403)
TRIES = 2  # over a connection that was kept, then over a new one


class NodeBlobStore:
    """The blobs of one node. Connections are kept open for the next request, as many as threads use at once.

    Raises
    ------
    ConfigurationError
        The certificate authority cannot be used.
    """

    removes = False

    def __init__(self, settings: StoreSection) -> None:
        parts = urlsplit(settings.url)
        self._host, self._port = parts.hostname or "", parts.port
        self.name = f"node {parts.netloc}"
        self._timeout_s = settings.timeout_s
        self._headers = {"Authorization": f"Bearer {settings.token_list[0]}"}
        self._context: ssl.SSLContext | None = client_context(ClientTls(ca=settings.ca)) if parts.scheme == "https" else None
        self._kept: list[http.client.HTTPConnection] = []  # append and pop need no lock

    def put(self, ref: BlobRef, file: Path) -> None:
        """Send a file; the node has it on disk when this returns. Raises StoreUnavailable."""
        with file.open("rb") as stream, self._asking("PUT", ref.sha256, "storing", stream, ref.size_bytes) as answer:
            answer.read()
            if answer.status != STORED:
                raise unavailable(self, "storing", f"it answered {answer.status}")

    def get(self, sha256: str) -> Iterator[bytes]:
        """Yield the content of a blob. Raises StorageError where there is none, StoreUnavailable where the node does not answer."""
        with self._asking("GET", sha256, "reading") as answer:
            if answer.status == NOT_FOUND:
                raise missing(self, sha256)
            if answer.status != OK:
                raise unavailable(self, "reading", f"it answered {answer.status}")
            try:
                while part := answer.read(CHUNK_BYTES):
                    yield part
            except (OSError, http.client.HTTPException) as error:
                raise unavailable(self, "reading", type(error).__name__) from error

    def has(self, sha256: str) -> bool:
        """Whether the node has the blob. Raises StoreUnavailable."""
        with self._asking("HEAD", sha256, "looking for a blob") as answer:
            answer.read()
            if answer.status not in (OK, NOT_FOUND):
                raise unavailable(self, "looking for a blob", f"it answered {answer.status}")
            return answer.status == OK

    def remove(self, sha256: str) -> None:
        """Raise StorageError: blobs are removed on the node that holds them."""
        raise StorageError(f"blob {sha256[:12]} is removed only on {self.name}", hint="run the command there")

    def list_folder(self, beginning: str) -> Iterator[StoredBlob]:
        """Raise StorageError: blobs are listed on the node that holds them."""
        raise StorageError(f"blobs {beginning}... are listed only on {self.name}", hint="run the command there")

    def close(self) -> None:
        """Close the connections that are kept for the next request."""
        while self._kept:
            self._kept.pop().close()

    @contextmanager
    def _asking(
        self, method: str, sha256: str, what: str, body: IO[bytes] | None = None, size_bytes: int = 0
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and give its answer; the connection is kept if the answer was read to its end. Raises StoreUnavailable."""
        headers = self._headers | ({"Content-Length": str(size_bytes)} if body is not None else {})
        for tries_left in range(TRIES - 1, -1, -1):
            connection = self._connection(new=not tries_left)
            try:
                if body is not None:
                    body.seek(0)
                connection.request(method, f"/blobs/{sha256}", body=body, headers=headers)
                answer = connection.getresponse()
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if not tries_left:
                    raise unavailable(self, what, type(error).__name__) from error
        try:
            if answer.status in REFUSED:
                raise unavailable(self, what, "it refuses the token")
            yield answer
        finally:
            if answer.isclosed():
                self._kept.append(connection)
            else:
                connection.close()

    def _connection(self, *, new: bool) -> http.client.HTTPConnection:
        """Return a connection that was kept, unless a new one is asked for, because such a one may have been closed by the server."""
        try:
            if not new:
                return self._kept.pop()
        except IndexError:
            pass
        if self._context is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
