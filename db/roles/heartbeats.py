"""Heartbeats of the processes of all roles, by the database's clock; readiness rests on them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db.engine import Database

_RECORD = text("""
    INSERT INTO heartbeats (role, name, at, details) VALUES (:role, :name, node_now(), CAST(:details AS jsonb))
    ON CONFLICT (role, name) DO UPDATE SET at = excluded.at, details = excluded.details
""")
_ALIVE = text("""
    SELECT role, name, at, greatest(0, extract(epoch FROM node_now() - at))::float8 AS age_s, details FROM heartbeats
    WHERE at >= node_now() - make_interval(secs => :within_s) ORDER BY role, name
""")
_DELETE = text("DELETE FROM heartbeats WHERE role = :role AND name = :name")
_MISSING = text("""
    SELECT role, extract(epoch FROM node_now() - max(at))::float8 AS age_s FROM heartbeats WHERE role = ANY(:roles)
    GROUP BY role HAVING max(at) < node_now() - make_interval(secs => :after_s) ORDER BY role
""")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat of a process. ``name`` is host:pid; ``age_s`` is by the database's clock."""

    role: str
    name: str
    at: datetime
    age_s: float
    details: Mapping[str, str]


def record_heartbeat(database: Database, role: str, name: str, details: Mapping[str, str]) -> None:
    """Record that a process is alive."""
    with database.begin() as connection:
        connection.execute(_RECORD, {"role": role, "name": name, "details": json.dumps(dict(details))})


def alive_processes(database: Database, within_s: float) -> list[Heartbeat]:
    """Return the processes whose last heartbeat is at most ``within_s`` old."""
    with database.begin() as connection:
        rows = connection.execute(_ALIVE, {"within_s": within_s})
        return [Heartbeat(row.role, row.name, row.at, row.age_s, row.details) for row in rows]


def delete_heartbeat(database: Database, role: str, name: str) -> None:
    """Delete the heartbeat of a process that stops in order, so that it is not taken for missing."""
    with database.begin() as connection:
        connection.execute(_DELETE, {"role": role, "name": name})


def missing_roles(database: Database, roles: Sequence[str], after_s: float) -> dict[str, float]:
    """Return role -> seconds since the last heartbeat of any of its processes, where that is longer than ``after_s``.

    A process that stops in order deletes its heartbeat and is not missing.
    """
    with database.begin() as connection:
        return {row.role: float(row.age_s) for row in connection.execute(_MISSING, {"roles": list(roles), "after_s": after_s})}
