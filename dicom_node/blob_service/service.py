"""The port of ``[store.serve]``: HTTPS, a bounded number of connections, each in a thread of its own. Part of the role ``listen``."""

import socket
import socketserver
import ssl
import threading
from typing import Any, Self

import structlog

from core.errors import ConfigurationError
from core.settings.settings import Settings
from core.tls import server_context
from db.blobs.store import Blobs
from dicom_node.blob_service.connection_places import ConnectionPlaces
from dicom_node.blob_service.requests import BlobRequests, BlobServer

HANDSHAKE_TIMEOUT_S = 10.0


class BlobService:
    """Serves blobs from `__enter__` to `__exit__`; without ``[store.serve]`` it does nothing.

    Raises
    ------
    ConfigurationError
        The address cannot be bound, or the TLS files cannot be used.
    """

    def __init__(self, settings: Settings, blobs: Blobs) -> None:
        self._server = _Server(settings, blobs) if settings.store.serve is not None else None

    @property
    def port(self) -> int:
        """The port; 0 where nothing is served."""
        return int(self._server.server_address[1]) if self._server is not None else 0

    def __enter__(self) -> Self:
        if self._server is not None:
            threading.Thread(target=self._server.serve_forever, args=(0.1,), name="blobs", daemon=True).start()
            structlog.get_logger().info("serving_blobs", port=self.port)
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(socketserver.ThreadingMixIn, BlobServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, settings: Settings, blobs: Blobs) -> None:
        serve = settings.store.serve
        assert serve is not None  # `BlobService` has checked it
        self.blobs, self.tokens, self.limits = blobs, settings.store.token_list, settings.receive
        self.places = ConnectionPlaces(serve.max_connections)
        tls = serve.tls
        self._context = None if tls is None else server_context(tls, "store.serve.tls", require_client=tls.ca is not None)
        try:
            super().__init__((serve.host, serve.port), BlobRequests)
        except OSError as error:
            message = f"store.serve.host {serve.host} port {serve.port} cannot be listened on: {error.strerror or error}"
            raise ConfigurationError(message, hint="another program uses the port, or the address is not one of this machine") from error

    def server_bind(self) -> None:
        """Bind the port, without looking up the name of the address."""
        socketserver.TCPServer.server_bind(self)

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        """Whether one more connection may be open."""
        return self.places.take(client_address[0])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin the thread of a connection."""
        try:
            super().process_request(request, client_address)
        except Exception:  # no thread could be started
            self.places.give_back(client_address[0])
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection. The handshake is in its own thread: a slow client does not delay the others."""
        try:
            if self._context is not None:
                request.settimeout(HANDSHAKE_TIMEOUT_S)
                try:
                    request = self._context.wrap_socket(request, server_side=True)
                except (OSError, ssl.SSLError) as error:
                    structlog.get_logger().warning("blob_handshake_failed", exception=type(error).__name__)
                    self.shutdown_request(request)
                    return
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().process_request_thread(request, client_address)
        finally:
            self.places.give_back(client_address[0])

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Log the end of a connection; the service goes on."""
        structlog.get_logger().info("blob_connection_lost")
