"""A server of one connection, for what a client does with slow, long or missing answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def answer_one_connection(answer: Callable[[socket.socket], None]) -> Iterator[tuple[int, threading.Event]]:
    """Let ``answer`` handle one connection; yield the port, and an event that is set when the connection is closed."""
    closed = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection, suppress(OSError):
                answer(connection)
        closed.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # what it does not read stays with the sender
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], closed
        assert closed.wait(60), "the client has not closed the connection"
        thread.join()
