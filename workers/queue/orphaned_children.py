"""What a killed process leaves behind: children that compute for nobody, and leases that nobody renews."""

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
    """A worker that is killed leaves no child behind that computes for nobody (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def disown(settings: Settings) -> None:
    """End the leases of children of this host that are dead: their jobs need not wait ``worker.lease_s``.

    The first act of a new child, before it loads anything. Where the database is away the leases run out by themselves.
    """
    database = Database.open(settings.database.url, pool_size=1)
    try:
        count = dead_processes.disown_jobs(database, socket.gethostname())
        if count:
            log.warning("leases of killed children ended", count=count)
    except StorageError as error:
        log.warning("leases of killed children run out by themselves", error=str(error))
    finally:
        database.dispose()
