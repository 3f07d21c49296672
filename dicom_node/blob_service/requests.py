"""Requests for blobs: ``GET``, ``HEAD`` and ``PUT /blobs/<sha256>``, with a bearer token (RFC 6750).

A blob that is sent here is compared with its hash, and is on disk (fsync) when the answer is 201. Nothing can be listed or removed: who has
no hash gets nothing. The head of a request has a limited time from its first byte, and content a least speed, so that a slow or silent peer
does not keep its connection.
"""

import hashlib
import hmac
import io
import re
from http.server import BaseHTTPRequestHandler, HTTPServer

import structlog

from core.errors import StorageError
from core.settings.receive import ReceiveSection
from db.blobs.store import Blobs
from dicom_node.blob_service.connection_places import ConnectionPlaces
from dicom_node.blob_service.deadline_socket import DeadlineSocket

PATH = re.compile(r"/blobs/([0-9a-f]{64})")
CHUNK_BYTES = 1 << 20
HEAD_S = 10.0  # for the head of a request; a new connection has as long until its first byte
IDLE_S = 60.0  # between the requests of a client that has shown its token; it opens a new connection
CHUNK_S = 60.0  # for each CHUNK_BYTES of content, and for an answer without content
OK, STORED, NO_TOKEN, NOT_FOUND, TOO_SLOW, NO_LENGTH, TOO_LARGE, OTHER_CONTENT, FULL = 200, 201, 401, 404, 408, 411, 413, 422, 507


class BlobServer(HTTPServer):
    """What the requests need of their server: the blobs, the tokens that are accepted, the limits, and who has a place."""

    blobs: Blobs
    tokens: tuple[str, ...]
    limits: ReceiveSection
    places: ConnectionPlaces


class BlobRequests(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "dicom-node", ""
    server: BlobServer
    _authorised = False  # a request of the connection had a token

    def setup(self) -> None:
        """Read and write the connection with deadlines."""
        super().setup()
        self.rfile.close()
        self._deadline = DeadlineSocket(self.connection)
        self.rfile = self._reader = io.BufferedReader(self._deadline)

    def handle_one_request(self) -> None:
        """Wait for a request, and answer it."""
        self._deadline.allow(IDLE_S if self._authorised else HEAD_S)
        try:
            self._reader.peek(1)
        except TimeoutError:
            self.close_connection = True
            return
        self._deadline.allow(HEAD_S)
        super().handle_one_request()

    def do_GET(self) -> None:
        """Send a blob."""
        self._send(with_content=True)

    def do_HEAD(self) -> None:
        """Say whether a blob exists."""
        self._send(with_content=False)

    def do_PUT(self) -> None:
        """Store a blob."""
        sha256 = self._admit()
        if sha256 is None:
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._refuse(NO_LENGTH, "Content-Length is missing")
        elif int(length) > self.server.limits.max_instance_bytes:
            self._refuse(TOO_LARGE, "larger than receive.max_instance_bytes")
        elif self.server.blobs.free_bytes() < self.server.limits.min_free_bytes + int(length):
            self._refuse(FULL, "the disk is nearly full")
        else:
            self._store(sha256, int(length))

    def _store(self, sha256: str, size_bytes: int) -> None:
        try:
            file = self.server.blobs.temporary()
            try:
                digest, left = hashlib.sha256(), size_bytes
                while left and (part := self._read(min(left, CHUNK_BYTES))):
                    digest.update(part)
                    file.write(part)
                    left -= len(part)
                if left or digest.hexdigest() != sha256:
                    self._refuse(OTHER_CONTENT, "the content does not have this hash")
                    return
                self.server.blobs.adopt(file, sha256)
            finally:
                file.discard()
        except TimeoutError:
            structlog.get_logger().warning("blob_request_too_slow", address=self.client_address[0])
            self._refuse(TOO_SLOW, "the content came too slowly")
            return
        except (StorageError, OSError) as error:
            structlog.get_logger().error("blob_not_stored", exception=type(error).__name__)
            self._refuse(FULL, "it could not be written")
            return
        self._answer(STORED)

    def _read(self, size_bytes: int) -> bytes:
        self._deadline.allow(CHUNK_S)
        return self._reader.read(size_bytes)

    def _send(self, *, with_content: bool) -> None:
        sha256 = self._admit()
        if sha256 is None:
            return
        try:
            stream = self.server.blobs.fetch(sha256).open("rb")
        except FileNotFoundError:
            self._refuse(NOT_FOUND, "there is no such blob")
            return
        with stream:
            self.send_response(OK)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(stream.seek(0, 2)))
            self.end_headers()
            stream.seek(0)
            while with_content and (part := stream.read(CHUNK_BYTES)):
                self._deadline.allow(CHUNK_S)
                self._deadline.send_all(part)

    def _admit(self) -> str | None:
        """Return the hash that the request names; None after an answer that refuses the request."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        given = token.strip().encode()
        known = [hmac.compare_digest(given, accepted.encode()) for accepted in self.server.tokens]
        if scheme.lower() != "bearer" or not any(known):
            structlog.get_logger().warning("blob_request_refused", address=self.client_address[0])
            self._refuse(NO_TOKEN, "a token is missing or wrong")
            return None
        self._deadline.allow(CHUNK_S)
        self._authorised = True
        self.server.places.authorise(self.client_address[0])
        named = PATH.fullmatch(self.path)
        if named is None:
            self._refuse(NOT_FOUND, "expected /blobs/<sha256>")
        return named and named[1]

    def _refuse(self, status: int, reason: str) -> None:
        self.close_connection = True  # what is left of the body is not read
        self._answer(status, reason.encode())

    def _answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        if status == NO_TOKEN:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log: errors are logged where they happen."""
