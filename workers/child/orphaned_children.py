"""Cleans up after killed processes: children whose parent died end, and leases of dead children are ended."""

import ctypes
import signal
import socket
import sys

import structlog

from core.errors import StorageError
from core.settings.settings import Settings
from db.engine import Database
from db.roles import dead_processes

_PR_SET_PDEATHSIG = 1

log = structlog.get_logger()


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent dies, so that it does not go on computing (Linux only, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def end_leases_of_dead_children(settings: Settings) -> None:
    """End the leases of dead children of this host, so that their jobs need not wait ``worker.lease_s``.

    Called by a new child before it loads anything. If the database does not respond, the leases expire by themselves.
    """
    try:
        with Database.open(settings.database.url, pool_size=1) as database:
            count = dead_processes.expire_dead_job_leases(database, socket.gethostname())
        if count:
            log.warning("leases_of_dead_children_ended", count=count)
    except StorageError as error:
        log.warning("leases_of_dead_children_not_ended", error=str(error), hint="they expire by themselves")
