"""How many connections are open at once, and which one ends when there is no place for a new one."""

from collections import Counter
from typing import Protocol

import structlog


class EndableConnection(Protocol):
    """A connection that may be ended to make room. ``since``: when its present wait began, in seconds of the event loop."""

    since: float

    @property
    def address(self) -> str:
        """Address of the client."""
        ...

    @property
    def waits(self) -> bool:
        """Whether it has no complete request: nothing is lost when it ends."""
        ...

    def end(self) -> None:
        """End it at once."""
        ...

    def end_if_late(self) -> None:
        """End it if its client is too slow."""
        ...


class OpenConnections:
    """The open connections, also those whose TLS handshake is not done.

    Where there are too many, the connection ends that has waited longest for a request, of the address that has most of such
    connections: silent connections of one client do not keep out another one. Connections that are being answered do not end.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[EndableConnection] = set()
        self.ended = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: EndableConnection) -> None:
        """Add a new connection, and make room for it."""
        self._open.add(connection)
        if len(self._open) > self._most:
            self._make_room(connection)

    def remove(self, connection: EndableConnection) -> None:
        """Forget a connection that has ended."""
        self._open.discard(connection)

    def end_late(self) -> None:
        """End every connection whose client is too slow."""
        for connection in tuple(self._open):
            connection.end_if_late()

    def _make_room(self, new: EndableConnection) -> None:
        waiting = [connection for connection in self._open if connection is not new and connection.waits]
        counts = Counter(connection.address for connection in waiting)
        ended = min(waiting, key=lambda connection: (-counts[connection.address], connection.since), default=new)
        if self.ended == 0:
            structlog.get_logger(__name__).warning("console_connections_full", limit=self._most)
        self.ended += 1
        self._open.discard(ended)
        ended.end()
