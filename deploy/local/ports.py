"""TCP ports of this machine: finds free ones, and tests whether a port is in use or accepts connections."""

import socket
import time

from core.errors import ConfigurationError


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def usable_port(host: str, port: int, section: str, *, wait_s: float = 5.0) -> int:
    """Return ``port`` if it can be bound, or a free port for 0.

    Raises
    ------
    ConfigurationError
        The port is still in use after ``wait_s`` (a node that was killed may need a moment to end), or ``host`` is no address
        of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + wait_s
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return int(probe.getsockname()[1])
            except OSError as error:
                if time.monotonic() >= deadline:
                    message = f"{section}.host = {host}, {section}.port = {port}: {error.strerror or error}"
                    raise ConfigurationError(message, hint=f"stop what listens there, or set another {section}.port") from error
        time.sleep(0.25)


def accepts_connections(host: str, port: int) -> bool:
    """Whether something listens there; the unspecified addresses are tried as the local host."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        with socket.create_connection((target, port), timeout=1.0):
            return True
    except OSError:
        return False
