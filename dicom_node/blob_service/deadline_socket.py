"""Reads and writes of one connection that end at a moment, however many bytes have come before.

The time-out of a socket counts each call: a peer that sends one byte a minute would keep its connection, and the place of another one, for
as long as it likes.
"""

import io
import socket
import time
from typing import Any

RECORD_BYTES = 1 << 14  # a TLS connection sends so much at once (RFC 8446 5.1)


class DeadlineSocket(io.RawIOBase):
    """A connected socket; every read and write raises TimeoutError from the moment on that `allow` has set."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._ends = time.monotonic()

    def allow(self, seconds: float) -> None:
        """Let reads and writes take so long from now on, all together."""
        self._ends = time.monotonic() + seconds

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what has come, at least one byte; 0 at the end."""
        self._limit()
        return self._connection.recv_into(buffer)

    def send_all(self, content: bytes) -> None:
        """Send all of ``content``."""
        rest = memoryview(content)
        while rest:
            self._limit()
            self._connection.sendall(rest[:RECORD_BYTES])
            rest = rest[RECORD_BYTES:]

    def _limit(self) -> None:
        left_s = self._ends - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the peer was too slow")
        self._connection.settimeout(left_s)
