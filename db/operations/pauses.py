"""Pauses of routes and destinations: rows that claims read, so that every process respects them and a restart does not end them.

A job is not claimed while every route that asked for it is paused, and a delivery is not claimed while its destination is. They keep their
state and their place in the order, so that nothing is lost. What a worker or sender has claimed already is finished.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.jobs import outbox
from db.notify import notify

# Conditions on a job ``j`` and a delivery ``d``. The subquery is evaluated once for a statement, and is NULL where no route is paused.
JOB_NOT_PAUSED = """
    (j.routes = '{}' OR coalesce(NOT j.routes <@ (SELECT array_agg(p.name) FROM pauses p WHERE p.kind = 'route'), true))
"""
DELIVERY_NOT_PAUSED = "NOT EXISTS (SELECT FROM pauses p WHERE p.kind = 'destination' AND p.name = d.destination)"
WAKE_UPS = 1000  # at once, when a route is resumed; the reaper repeats the rest

_PAUSE = text("""
    INSERT INTO pauses (kind, name, reason, actor) VALUES (:kind, :name, :reason, :actor) ON CONFLICT DO NOTHING RETURNING name
""")
_RESUME = text("DELETE FROM pauses WHERE kind = :kind AND name = :name RETURNING name")
_LIST = text("SELECT kind, name, reason, actor, since FROM pauses ORDER BY kind, name")
_QUEUED = text("SELECT id FROM jobs WHERE state = 'queued' AND :name = ANY(routes) ORDER BY priority DESC, id LIMIT :limit")


class PauseKind(StrEnum):
    """What can be paused."""

    ROUTE = "route"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class Pause:
    """A route or destination that is paused, since when, by whom and why."""

    kind: PauseKind
    name: str
    reason: str
    actor: str
    since: datetime


def pause(database: Database, kind: PauseKind, name: str, *, reason: str, actor: str) -> bool:
    """Pause a route or destination; return False if it is paused already."""
    with database.begin() as connection:
        values = {"kind": kind.value, "name": name, "reason": reason, "actor": actor}
        done = connection.execute(_PAUSE, values).one_or_none() is not None
        if done:
            audit.record(connection, actor=actor, action=f"{kind}.paused", subject=f"{kind}:{name}", details={"reason": reason})
    return done


def resume(database: Database, kind: PauseKind, name: str, *, reason: str, actor: str) -> bool:
    """End a pause; return False if there is none. What waits is taken up at once."""
    with database.begin() as connection:
        done = connection.execute(_RESUME, {"kind": kind.value, "name": name}).one_or_none() is not None
        if done:
            audit.record(connection, actor=actor, action=f"{kind}.resumed", subject=f"{kind}:{name}", details={"reason": reason})
            if kind is PauseKind.ROUTE:
                outbox.add_wake_ups(connection, connection.execute(_QUEUED, {"name": name, "limit": WAKE_UPS}).scalars())
            else:
                notify(connection, "delivery")
    return done


def list_pauses(database: Database) -> tuple[Pause, ...]:
    """Return the current pauses, by kind and name."""
    with database.begin() as connection:
        rows = connection.execute(_LIST)
        return tuple(Pause(PauseKind(row.kind), row.name, row.reason, row.actor, row.since) for row in rows)
