"""A page does not wait for the acknowledgement of its head."""

import gc
import socket
from pathlib import Path

import httpx

from db.engine import Database
from tests.support.console import RunningConsole


def test_connections_of_the_console_send_without_delay(database: Database, tmp_path: Path) -> None:
    """Nagle's algorithm is off on each accepted connection, seen from the sockets of this process."""
    with RunningConsole(database, tmp_path) as console, httpx.Client(base_url=console.url) as client:
        assert client.get("/healthz").status_code == 200
        port = int(console.url.rpartition(":")[2])
        accepted = [one for one in gc.get_objects() if isinstance(one, socket.socket) and one.fileno() >= 0 and _is_server_side(one, port)]
        assert accepted
        assert all(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in accepted)


def _is_server_side(one: socket.socket, port: int) -> bool:
    try:
        return bool(one.getsockname()[1] == port and one.getpeername())
    except (OSError, IndexError, TypeError):
        return False
