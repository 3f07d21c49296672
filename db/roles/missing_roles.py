"""Roles that have stopped sending heartbeats. A process that stops in order deletes its heartbeat and is not missing."""

from collections.abc import Sequence

from sqlalchemy import text

from db.engine import Database

_MISSING = text("""
    SELECT role, extract(epoch FROM node_now() - max(at))::float8 AS age_s FROM heartbeats WHERE role = ANY(:roles)
    GROUP BY role HAVING max(at) < node_now() - make_interval(secs => :after_s) ORDER BY role
""")


def missing_roles(database: Database, roles: Sequence[str], after_s: float) -> dict[str, float]:
    """Return role -> seconds since the last heartbeat of any of its processes, where that is longer than ``after_s``."""
    with database.begin() as connection:
        return {row.role: float(row.age_s) for row in connection.execute(_MISSING, {"roles": list(roles), "after_s": after_s})}
