"""Ports of this machine: free, taken, answering."""

import socket
import time

from core.errors import ConfigurationError


def claimed(host: str, port: int, section: str, *, wait_s: float = 5.0) -> int:
    """``port``, or a free one for 0.

    Raises
    ------
    ConfigurationError
        The port is in use (after a short wait: a node that was killed may still be leaving), or the host is not ours.
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


def answers(host: str, port: int) -> bool:
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        with socket.create_connection((target, port), timeout=1.0):
            return True
    except OSError:
        return False
