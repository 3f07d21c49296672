"""The name under which a process is known in the database: heartbeats, leases of jobs and deliveries."""

import os
import socket


def host_name() -> str:
    """The name of this machine, or of this container."""
    return socket.gethostname()


def process_name() -> str:
    """``host:pid`` of the calling process; call it after a fork, not before."""
    return f"{host_name()}:{os.getpid()}"
