"""One HTTP connection with time limits: a request that does not arrive, or an answer that is not taken, ends it."""

import socket
import struct
from enum import StrEnum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from console.server.open_connections import OpenConnections

HEAD_S = 20.0  # the limits of Apache's mod_reqtimeout: head 20 s; body 20 s and one more for every 500 bytes
BODY_S = 20.0
BODY_BYTES_PER_S = 500
REST_S = 10.0  # of a body that is not read any more because the request was refused
UNREAD_ANSWER_S = 60.0


class Awaited(StrEnum):
    """What a connection waits for from its client."""

    HEAD = "head"  # of a request: also of the first one, and of the next one
    BODY = "body"
    REST = "rest"  # of the body of a request that was answered
    NOTHING = "nothing"  # the request is complete and is being answered


class LimitedConnection(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with time limits. The server calls `end_if_late` twice a second."""

    def __init__(self, opened: OpenConnections, **given: Any) -> None:
        super().__init__(**given)
        self._opened = opened
        self._early = b""  # decrypted with the end of the TLS handshake, before this connection was told that it is made
        self._was = Awaited.HEAD
        self._received = 0
        self._writing_paused_at: float | None = None
        self.since = self.loop.time()

    @property
    def awaited(self) -> Awaited:
        """What the connection waits for."""
        state = self.conn.their_state
        if state is h11.IDLE:
            return Awaited.HEAD
        if state is h11.SEND_BODY:
            return Awaited.REST if self.cycle is None or self.cycle.response_complete else Awaited.BODY
        return Awaited.NOTHING

    @property
    def waits(self) -> bool:
        """Whether it has no complete request."""
        return self.awaited is not Awaited.NOTHING

    @property
    def address(self) -> str:
        """Address of the client."""
        return self.client[0] if self.client is not None else ""

    def connection_made(self, transport: Any) -> None:
        """Register the connection; the one that has waited longest makes room where there are too many."""
        super().connection_made(transport)
        self._opened.add(self)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._opened.remove(self)
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and count them for the rate of a body."""
        if self.transport is None:
            self._early += data
            return
        self._note()
        self._received += len(data)
        super().data_received(data)
        self._note()

    def pause_writing(self) -> None:
        """Note that the client does not take the answer."""
        self._writing_paused_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client takes the answer again."""
        self._writing_paused_at = None
        super().resume_writing()

    def end_if_late(self) -> None:
        """End the connection if the client is too slow."""
        self._note()
        if self._is_late(self.loop.time()):
            self.end()

    def end(self) -> None:
        """End the connection at once, and discard what its client has not taken, also in the kernel (RST)."""
        if self.transport is not None:
            opened = self.transport.get_extra_info("socket")
            if opened is not None:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def _note(self) -> None:
        """Begin a new wait if something else is awaited than before, or if this process reads nothing because it is busy."""
        awaited = self.awaited
        if awaited is not self._was or (self.flow is not None and self.flow.read_paused):
            self._was, self.since, self._received = awaited, self.loop.time(), 0

    def _is_late(self, now: float) -> bool:
        waited = now - self.since
        if self._writing_paused_at is not None and now - self._writing_paused_at > UNREAD_ANSWER_S:
            return True
        if self._was is Awaited.HEAD:
            return waited > HEAD_S
        if self._was is Awaited.BODY:
            return waited > BODY_S + self._received / BODY_BYTES_PER_S
        return self._was is Awaited.REST and waited > REST_S
