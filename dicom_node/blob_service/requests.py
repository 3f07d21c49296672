"""Requests for blobs: ``GET``, ``HEAD`` and ``PUT /blobs/<sha256>``, with a bearer token (RFC 6750).

A blob that is sent here is compared with its hash, and is on disk (fsync) when the answer is 201. Nothing can be listed or removed: who has
no hash gets nothing.
"""

import hashlib
import hmac
import re
from http.server import BaseHTTPRequestHandler, HTTPServer

import structlog

from core.errors import StorageError
from core.settings.receive import ReceiveSection
from db.blobs.store import Blobs

PATH = re.compile(r"/blobs/([0-9a-f]{64})")
CHUNK_BYTES = 1 << 20
OK, STORED, NO_TOKEN, NOT_FOUND, NO_LENGTH, TOO_LARGE, OTHER_CONTENT, FULL = 200, 201, 401, 404, 411, 413, 422, 507


class BlobServer(HTTPServer):
    """What the requests need of their server: the blobs, the tokens that are accepted, and the limits."""

    blobs: Blobs
    tokens: tuple[str, ...]
    limits: ReceiveSection


class BlobRequests(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "dicom-node", ""
    server: BlobServer

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
                while left and (part := self.rfile.read(min(left, CHUNK_BYTES))):
                    digest.update(part)
                    file.write(part)
                    left -= len(part)
                if left or digest.hexdigest() != sha256:
                    self._refuse(OTHER_CONTENT, "the content does not have this hash")
                    return
                self.server.blobs.adopt(file, sha256)
            finally:
                file.discard()
        except (StorageError, OSError) as error:
            structlog.get_logger().error("blob_not_stored", exception=type(error).__name__)
            self._refuse(FULL, "it could not be written")
            return
        self._answer(STORED)

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
                self.wfile.write(part)

    def _admit(self) -> str | None:
        """Return the hash that the request names; None after an answer that refuses the request."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        given = token.strip().encode()
        known = [hmac.compare_digest(given, accepted.encode()) for accepted in self.server.tokens]
        if scheme.lower() != "bearer" or not any(known):
            structlog.get_logger().warning("blob_request_refused", address=self.client_address[0])
            self._refuse(NO_TOKEN, "a token is missing or wrong")
            return None
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
