"""How many connections may be open: in all, from one address, and from addresses that are no source's.

A peer that connects and sends nothing takes a place. Three rules keep such peers from taking those of configured sources: addresses of no
source have a small share of the places; one address has a limited number; and where that or all places are taken, a source's new
connection takes the place of the one that has waited longest without an association request, which a real sender sends at once.
"""

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

UNKNOWN_PER_ADDRESS = 8  # connections from an address of no source


@dataclass(slots=True, eq=False)
class OpenConnection:
    """A connection from ``address``. ``requested``: the peer has sent an association request. ``closing``: its place is free already."""

    connection: socket.socket
    address: str
    is_source: bool
    requested: bool = False
    closing: bool = False

    @property
    def takes_place(self) -> bool:
        """Whether the connection counts. A socket that was closed, by whichever thread, has no descriptor."""
        return not self.closing and self.connection.fileno() >= 0

    def close(self) -> None:
        """Make the connection's own thread end it."""
        self.closing = True
        with suppress(OSError):  # it was closed in this moment
            self.connection.shutdown(socket.SHUT_RDWR)


class ConnectionLimits:
    """The open connections of one listener process.

    Parameters
    ----------
    places
        Connections that may be open at once. Addresses of no source have a quarter of them.
    per_source
        Connections from one address of a source.
    is_source
        Whether an IP address is that of a configured source.
    """

    def __init__(self, places: int, per_source: int, is_source: Callable[[str], bool]) -> None:
        self._open: dict[socket.socket, OpenConnection] = {}
        self._lock = threading.Lock()
        self.apply(places, per_source, is_source)

    def apply(self, places: int, per_source: int, is_source: Callable[[str], bool]) -> None:
        """Use other limits and sources from now on; open connections stay."""
        self._places, self._per_source, self._is_source = places, min(per_source, places), is_source

    def admit(self, connection: socket.socket, address: str) -> bool:
        """Whether this new connection may stay; counts it if so."""
        with self._lock:
            self._open = {one: entry for one, entry in self._open.items() if entry.takes_place}
            entries = self._open.values()
            new = OpenConnection(connection, address, self._is_source(address))
            of_address = [entry for entry in entries if entry.address == address]
            if not new.is_source:
                unknown = sum(not entry.is_source for entry in entries)
                if unknown >= self._places // 4 or len(of_address) >= UNKNOWN_PER_ADDRESS or len(entries) >= self._places:
                    return False
            elif len(of_address) >= self._per_source:
                if not _make_place(of_address):
                    return False
            elif len(entries) >= self._places and not _make_place(entries):
                return False
            self._open[connection] = new
            return True

    def replace(self, connection: socket.socket, by: socket.socket) -> None:
        """Count a TLS socket in the place of the one that it took over."""
        with self._lock:
            entry = self._open.pop(connection, None)
            if entry is not None:
                entry.connection = by
                self._open[by] = entry

    def mark_requested(self, connection: socket.socket) -> None:
        """The peer has requested an association: its connection keeps its place."""
        with self._lock:
            entry = self._open.get(connection)
            if entry is not None:
                entry.requested = True


def _make_place(entries: Iterable[OpenConnection]) -> bool:
    """Close the connection that has waited longest for its request (the entries are in the order of their arrival)."""
    waiting = next((entry for entry in entries if not entry.requested), None)
    if waiting is not None:
        waiting.close()
    return waiting is not None
