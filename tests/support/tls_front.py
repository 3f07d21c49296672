"""A reverse proxy that adds TLS to a TCP server (Debian's Orthanc crashes when it uses TLS itself)."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class _Handler(socketserver.BaseRequestHandler):
    server: "_Front"

    def handle(self) -> None:
        try:
            inside = self.server.context.wrap_socket(self.request, server_side=True)
        except OSError:  # the client does not accept the certificate
            return
        with inside, socket.create_connection(("127.0.0.1", self.server.behind)) as behind:
            back = threading.Thread(target=_forward, args=(behind, inside), daemon=True)
            back.start()
            _forward(inside, behind)
            back.join(600)


class _Front(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, behind: int, cert: Path, key: Path, clients: Path | None) -> None:
        self.behind = behind
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        if clients is not None:
            self.context.load_verify_locations(clients)
            self.context.verify_mode = ssl.CERT_REQUIRED
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: object) -> None:
        """Ignore connections that break."""


def _forward(source: socket.socket, drain: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            drain.sendall(data)
    with suppress(OSError):
        drain.shutdown(socket.SHUT_WR)


@contextmanager
def tls_front(behind: int, cert: Path, key: Path, clients: Path | None = None) -> Iterator[int]:
    """Yield the port of the proxy. ``clients``: the authority of the certificates that clients must present."""
    with _Front(behind, cert, key, clients) as front:
        thread = threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield int(front.server_address[1])
        finally:
            front.shutdown()
            thread.join(600)
