"""The TLS handshake of one connection: it counts as an open connection, and has a time limit of its own."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from console.server.connection import LimitedConnection
from console.server.open_connections import OpenConnections

HANDSHAKE_S = 10.0


class TlsHandshake(asyncio.Protocol):
    """Protocol of a new connection, which `LimitedConnection` takes over when the handshake is done.

    asyncio offers the same with ``create_server(ssl=...)``; but a connection whose handshake is not done is invisible there.
    """

    def __init__(self, opened: OpenConnections, context: ssl.SSLContext, build: Callable[[], LimitedConnection]) -> None:
        self._opened, self._context, self._build = opened, context, build
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self.since = self._loop.time()

    @property
    def address(self) -> str:
        """Address of the client."""
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(peer[0]) if peer else ""

    @property
    def waits(self) -> bool:
        """Always: there is no request yet."""
        return True

    def connection_made(self, transport: Any) -> None:
        """Begin the handshake; nothing is read before."""
        transport.pause_reading()
        self._transport = transport
        self._opened.add(self)
        self._task = self._loop.create_task(self._shake_hands(transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._opened.remove(self)

    def end(self) -> None:
        """End the connection at once."""
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort()

    def end_if_late(self) -> None:
        """Nothing: the handshake has a time limit of its own."""

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        connection = self._build()
        try:
            secured = await self._loop.start_tls(transport, connection, self._context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S)
        except OSError:  # no TLS, a certificate that is not accepted, too slow, or the client has gone
            transport.abort()
            return
        finally:
            self._opened.remove(self)
        if secured is not None:
            connection.connection_made(secured)
