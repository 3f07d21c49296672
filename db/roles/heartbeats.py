"""Which roles are alive, by the database's clock; readiness is read from here."""

import json
from collections.abc import Mapping

from sqlalchemy import text

from db.engine import Database
from db.records import Heartbeat

_BEAT = text("""
    INSERT INTO heartbeats (role, name, at, details) VALUES (:role, :name, node_now(), CAST(:details AS jsonb))
    ON CONFLICT (role, name) DO UPDATE SET at = excluded.at, details = excluded.details
""")
_ALIVE = text("""
    SELECT role, name, at, greatest(0, extract(epoch FROM node_now() - at))::float8 AS age_s, details FROM heartbeats
    WHERE at >= node_now() - make_interval(secs => :within_s) ORDER BY role, name
""")
_GONE = text("DELETE FROM heartbeats WHERE role = :role AND name = :name")


def beat(database: Database, role: str, name: str, details: Mapping[str, str]) -> None:
    """This process is alive, and works."""
    with database.begin() as connection:
        connection.execute(_BEAT, {"role": role, "name": name, "details": json.dumps(dict(details))})


def alive(database: Database, within_s: float) -> list[Heartbeat]:
    """Who was heard of within ``within_s``."""
    with database.begin() as connection:
        rows = connection.execute(_ALIVE, {"within_s": within_s})
        return [Heartbeat(row.role, row.name, row.at, row.age_s, row.details) for row in rows]


def gone(database: Database, role: str, name: str) -> None:
    """The process ends in order: nobody waits for its heartbeat to grow old."""
    with database.begin() as connection:
        connection.execute(_GONE, {"role": role, "name": name})
