"""What killed processes of this host held: their leases end now, not when they run out."""

import os

from sqlalchemy import TextClause, text

from db.engine import Database

_JOBS = (
    text("SELECT DISTINCT worker FROM jobs WHERE state = 'running' AND starts_with(worker, :host)"),
    text("UPDATE jobs SET lease_until = node_now() WHERE state = 'running' AND worker = ANY(:names)"),
)
_DELIVERIES = (
    text("SELECT DISTINCT sender FROM deliveries WHERE state = 'sending' AND starts_with(sender, :host)"),
    text("UPDATE deliveries SET lease_until = node_now() WHERE state = 'sending' AND sender = ANY(:names)"),
)


def disown_jobs(database: Database, host: str) -> int:
    """Jobs of dead workers named ``host:pid`` are for the reaper; gives how many.

    Called by a process that has just started and holds nothing. Who is declared dead wrongly (two containers with one host name) loses
    its work to the fence, and nothing is doubled.
    """
    return _disown(database, host, *_JOBS)


def disown_deliveries(database: Database, host: str) -> int:
    """The same for senders."""
    return _disown(database, host, *_DELIVERIES)


def _disown(database: Database, host: str, named: TextClause, end: TextClause) -> int:
    with database.begin() as connection:
        names = connection.execute(named, {"host": f"{host}:"}).scalars().all()
        gone = [name for name in names if name.rpartition(":")[2].isdecimal() and _dead(int(name.rpartition(":")[2]))]
        return int(connection.execute(end, {"names": gone}).rowcount) if gone else 0


def _dead(pid: int) -> bool:
    """No such process; one that has our number was another's before us."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody's
        return False
    return pid == os.getpid()
