"""Connections whose peer has sent nothing yet. Each takes a socket, and neither a thread nor a buffer: any peer can open hundreds."""

import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class _Silent:
    address: Any
    deadline: float


class SilentConnections:
    """The silent connections of one listener; they wait in its selector. Only for the thread that selects.

    Parameters
    ----------
    selector
        Also waits for other things, whose ``data`` is None.
    timeout_s
        The longest wait for the first byte, in seconds.
    on_close
        Called with the socket and the address of a connection that sent nothing; it closes the socket.
    """

    def __init__(
        self, selector: selectors.BaseSelector, timeout_s: Callable[[], float], on_close: Callable[[socket.socket, Any], None]
    ) -> None:
        self._selector = selector
        self._timeout_s = timeout_s
        self._on_close = on_close
        self._next_check = 0.0

    def add(self, connection: socket.socket, address: Any) -> None:
        """Wait for the first byte of a connection that was accepted just now."""
        deadline = time.monotonic() + self._timeout_s()
        self._selector.register(connection, selectors.EVENT_READ, _Silent(address, deadline))
        self._next_check = min(self._next_check, deadline) if self._next_check else deadline

    def take(self, key: selectors.SelectorKey) -> tuple[socket.socket, Any] | None:
        """Return socket and address of a connection whose first byte has arrived; None where it has ended, and was closed."""
        connection: Any = key.fileobj
        self._selector.unregister(connection)
        first = b""
        with suppress(OSError):  # it broke
            first = connection.recv(1, socket.MSG_PEEK)
        if first:
            return connection, key.data.address
        self._on_close(connection, key.data.address)
        return None

    def close_expired(self) -> None:
        """Close those that have sent nothing in time. Cheap where none is due."""
        now = time.monotonic()
        if not self._next_check or now < self._next_check:
            return
        left = []
        for key in self._keys():
            if key.data.deadline <= now:
                self._drop(key)
            else:
                left.append(key.data.deadline)
        self._next_check = min(left, default=0.0)

    def close_all(self) -> None:
        """Close all of them."""
        for key in self._keys():
            self._drop(key)

    def _keys(self) -> list[selectors.SelectorKey]:
        return [key for key in self._selector.get_map().values() if key.data is not None]

    def _drop(self, key: selectors.SelectorKey) -> None:
        self._selector.unregister(key.fileobj)
        connection: Any = key.fileobj
        self._on_close(connection, key.data.address)
