"""Ends the leases and deletes the heartbeats of killed processes of this host at once, instead of waiting until they expire."""

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
_HEARTBEATS = (
    text("SELECT DISTINCT name FROM heartbeats WHERE starts_with(name, :host)"),
    text("DELETE FROM heartbeats WHERE name = ANY(:names)"),
)

_REPLACED = text("""
    SELECT name FROM heartbeats
    WHERE role = :role AND name <> :own AND starts_with(name, :host) AND at < node_now() - make_interval(secs => :stale_s)
""")
_DELETE_OF_ROLE = text("DELETE FROM heartbeats WHERE role = :role AND name = ANY(:names)")
STALE_S = 9.0  # three heartbeats


def expire_dead_job_leases(database: Database, host: str) -> int:
    """Let the leases of jobs of dead workers named ``host:pid`` expire now; return how many.

    Called by a process that has just started and holds no lease. A worker that is taken for dead by mistake (two containers with one host
    name) loses its work, because its token is not valid any more; nothing is written twice.
    """
    return _expire(database, host, *_JOBS)


def expire_dead_delivery_leases(database: Database, host: str) -> int:
    """Let the leases of deliveries of dead senders named ``host:pid`` expire now; return how many."""
    return _expire(database, host, *_DELIVERIES)


def delete_dead_heartbeats(database: Database, host: str) -> int:
    """Delete the heartbeats of dead processes named ``host:pid``; return how many. They could not do so themselves."""
    return _expire(database, host, *_HEARTBEATS)


def delete_replaced_heartbeats(database: Database, host: str, role: str, own_name: str) -> int:
    """Delete the heartbeats of dead processes of a role on this host, of which another process runs; return how many.

    Called by that process. A role of which no process is left keeps its row, so that it is reported as missing. A row is dead if it was
    not renewed for `STALE_S`: containers of one host name may see only processes of their own.
    """
    with database.begin() as connection:
        values = {"host": f"{host}:", "role": role, "own": own_name, "stale_s": STALE_S}
        dead = [name for name in connection.execute(_REPLACED, values).scalars() if _is_dead(name)]
        return int(connection.execute(_DELETE_OF_ROLE, {"names": dead, "role": role}).rowcount) if dead else 0


def _expire(database: Database, host: str, named: TextClause, end: TextClause) -> int:
    with database.begin() as connection:
        names = connection.execute(named, {"host": f"{host}:"}).scalars().all()
        dead = [name for name in names if _is_dead(name)]
        return int(connection.execute(end, {"names": dead}).rowcount) if dead else 0


def _is_dead(name: str) -> bool:
    pid = name.rpartition(":")[2]
    return pid.isdecimal() and _dead(int(pid))


def _dead(pid: int) -> bool:
    """Return whether no process has this number; the caller's own number belonged to another process before."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it exists, and belongs to another user
        return False
    return pid == os.getpid()
