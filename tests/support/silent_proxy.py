"""A TCP proxy that stops answering, as a host does that is lost: connections stay open, new ones are accepted, and nothing comes back."""

import select
import socket
import threading
from typing import Self

CHUNK_BYTES = 1 << 16


class SilentProxy:
    """``with SilentProxy(host, port) as proxy``: forwards every connection to a server until `silence` is called."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._silent = threading.Event()
        self._closing = threading.Event()
        self._unanswered = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def silence(self) -> None:
        """Forward nothing from now on."""
        self._silent.set()

    def wait_for_unanswered(self, connections: int, timeout_s: float = 600.0) -> None:
        """Return when so many connections have sent something since `silence`."""
        for _ in range(connections):
            assert self._unanswered.acquire(timeout=timeout_s), "nothing was asked"

    def _accept(self) -> None:
        while not self._closing.is_set():
            if select.select([self._listener], [], [], 0.1)[0]:
                client = self._listener.accept()[0]
                self._threads.append(threading.Thread(target=self._forward, args=(client,)))
                self._threads[-1].start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            while not self._closing.is_set():
                for source in select.select([client, server], [], [], 0.1)[0]:
                    if self._silent.is_set():
                        self._unanswered.release()
                        self._closing.wait()
                        return
                    data = source.recv(CHUNK_BYTES)
                    if not data:
                        return
                    (server if source is client else client).sendall(data)
