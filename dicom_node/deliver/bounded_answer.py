"""An adapter of requests that bounds the answer of a service: its bytes, and the seconds after the last byte of the request was sent.

The time-out of requests counts each read, so that a service that sends one byte a second holds the caller for as long as it likes. The
request itself may take long: its body is sent in pieces, each within the time-out, where a whole body of bytes had one for all of it.
"""

import array
import fcntl
import io
import os
import socket
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

PIECE_BYTES = 64 << 10


class AnswerTooLong(requests.exceptions.RequestException):
    """The answer has more bytes than it may have."""


class AnswerTooLate(requests.exceptions.Timeout):
    """The answer was not complete in time."""


class _Deadline:
    """Shuts a connection down some seconds after the request was sent, which ends every read; ``late`` tells this end from others.

    What was sent may wait in the kernel for a slow line: the seconds begin again each time when some of it was acknowledged.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.late = threading.Event()

    def begin(self, connected: Any) -> None:
        """Begin to count. A duplicate of the socket is shut down, because TLS has taken over the socket itself."""
        duplicate = socket.socket(fileno=os.dup(connected.fileno()))
        self._thread = threading.Thread(target=self._run, args=(duplicate,), name="answer-deadline", daemon=True)
        self._thread.start()

    def _run(self, duplicate: socket.socket) -> None:
        with duplicate:
            waiting, since = _unsent_bytes(duplicate), time.monotonic()
            while not self._ended.wait(min(self._seconds / 10, 1.0)):
                before, waiting = waiting, _unsent_bytes(duplicate)
                if waiting < before:
                    since = time.monotonic()
                elif time.monotonic() - since >= self._seconds:
                    self.late.set()
                    with suppress(OSError):
                        duplicate.shutdown(socket.SHUT_RDWR)
                    return

    def end(self) -> None:
        """Count no longer."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()


def _unsent_bytes(connected: socket.socket) -> int:
    """Return how many bytes the peer has not acknowledged; 0 where the system does not say it."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(connected, termios.TIOCOUTQ, count)  # SIOCOUTQ of Linux
    except OSError:
        return 0
    return count[0]


_deadline: ContextVar[_Deadline] = ContextVar("deadline")


class _Connection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it; called when the whole request was sent
        _deadline.get().begin(self.sock)
        return super().getresponse()


class _TlsConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        _deadline.get().begin(self.sock)
        return super().getresponse()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class BoundedAnswers(HTTPAdapter):
    """Sends requests whose answers have at most ``max_bytes`` and are complete ``seconds`` after the request was sent.

    Raises
    ------
    AnswerTooLong, AnswerTooLate
        When a request is sent, beside what requests raises.
    """

    def __init__(self, *, seconds: float, max_bytes: int) -> None:
        super().__init__()
        self._seconds, self._max_bytes = seconds, max_bytes
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request, and read the whole answer."""
        if isinstance(request.body, bytes):
            request.body = io.BytesIO(request.body)  # its Content-Length is set
        options["timeout"] = (self._seconds, None)  # to connect, and for each piece of the body; the deadline ends the reading
        with self._within() as deadline:
            try:
                response = super().send(request, *arguments, **options)
                content = self._read(response)
            except Exception as error:
                if deadline.late.is_set():
                    raise AnswerTooLate(f"no whole answer within {self._seconds:g} s") from error
                raise
            if deadline.late.is_set():  # also where it looks whole: without a Content-Length it ends with the connection
                raise AnswerTooLate(f"no whole answer within {self._seconds:g} s")
        response._content = content
        response._content_consumed = True
        return response

    @contextmanager
    def _within(self) -> Iterator[_Deadline]:
        deadline = _Deadline(self._seconds)
        token = _deadline.set(deadline)
        try:
            yield deadline
        finally:
            deadline.end()
            _deadline.reset(token)

    def _read(self, response: requests.Response) -> bytes:
        parts, size_bytes = [], 0
        for part in response.iter_content(PIECE_BYTES):
            parts.append(part)
            size_bytes += len(part)
            if size_bytes > self._max_bytes:
                response.close()
                raise AnswerTooLong(f"the answer has more than {self._max_bytes} bytes")
        return b"".join(parts)
