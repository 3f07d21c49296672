"""The HTTP server of the console: uvicorn with limits for connections, in the calling thread."""

import asyncio
import contextlib
import functools
import resource
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from console.server.connection import LimitedConnection
from console.server.open_connections import OpenConnections
from console.server.tls_handshake import TlsHandshake

GRACE_S = 5
OTHER_FILES = 200  # files that the process opens beside its connections: database, images, uploads
TICKS_PER_CHECK = 5  # of 0.1 s


class ConsoleServer(uvicorn.Server):
    """Server that ends when ``stop`` is set and handles no signals: the caller does.

    Parameters
    ----------
    tls
        With it the server speaks TLS only.
    most_connections
        Connections at once; fewer where the process may not open so many files.
    trusted_proxies
        Addresses and networks whose ``X-Forwarded-For`` is believed.
    """

    def __init__(
        self, application: ASGIApp, stop: threading.Event, *, tls: ssl.SSLContext | None, most_connections: int,
        trusted_proxies: Sequence[str] = (),
    ) -> None:  # fmt: skip
        config = uvicorn.Config(
            application, http="h11", ws="none", log_config=None, access_log=False, lifespan="off", server_header=False,
            timeout_graceful_shutdown=GRACE_S, proxy_headers=bool(trusted_proxies), forwarded_allow_ips=list(trusted_proxies),
        )  # fmt: skip
        super().__init__(config)
        config.load()
        self._stop = stop
        soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.opened = OpenConnections(max(1, min(most_connections, soft_limit - OTHER_FILES)))
        build: Callable[..., asyncio.Protocol] = functools.partial(LimitedConnection, self.opened)
        if tls is not None:
            build = functools.partial(self._build_handshake, tls)
        config.http_protocol_class = build  # type: ignore[assignment]  # uvicorn only calls it

    def _build_handshake(self, context: ssl.SSLContext, **given: Any) -> TlsHandshake:
        return TlsHandshake(self.opened, context, functools.partial(LimitedConnection, self.opened, **given))

    async def on_tick(self, counter: int) -> bool:
        """Return True to end the server. uvicorn calls this ten times a second."""
        if counter % TICKS_PER_CHECK == 0:
            self.opened.end_late()
        return await super().on_tick(counter) or self._stop.is_set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers of the process as they are."""
        yield
