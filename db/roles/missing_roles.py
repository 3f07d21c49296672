"""Roles that were there and are not heard of any more. One that ends in order says so (`heartbeats.gone`) and is not silent."""

from collections.abc import Sequence

from sqlalchemy import text

from db.engine import Database

_SILENT = text("""
    SELECT role, extract(epoch FROM node_now() - max(at))::float8 AS age_s FROM heartbeats WHERE role = ANY(:roles)
    GROUP BY role HAVING max(at) < node_now() - make_interval(secs => :after_s) ORDER BY role
""")


def silent(database: Database, roles: Sequence[str], after_s: float) -> dict[str, float]:
    """Role -> seconds since any of its processes was heard of, where that is longer than ``after_s``."""
    with database.begin() as connection:
        return {row.role: float(row.age_s) for row in connection.execute(_SILENT, {"roles": list(roles), "after_s": after_s})}
