"""Counts what waits to be analysed; every listener reads it once a second for back-pressure."""

from dataclasses import dataclass

from sqlalchemy import text

from db.engine import Database

PAUSED = "receive.paused"  # kind of the alert; its subject is the reason

# Counting stops at the limit: only whether it is exceeded matters.
_BACKLOG = text("""
    SELECT (SELECT count(*) FROM (SELECT FROM units WHERE state = 'open' LIMIT :most) AS open_units)
         + (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'queued' LIMIT :most) AS queued) AS waiting,
           (SELECT coalesce(array_agg(subject), '{}') FROM alerts WHERE kind = :kind) AS paused
""")


@dataclass(frozen=True, slots=True)
class Backlog:
    """``units``: open units and queued jobs. ``paused``: reasons for which receiving is paused, the same for all listeners."""

    units: int
    paused: frozenset[str]


def read_backlog(database: Database, *, most: int) -> Backlog:
    """Count up to ``most`` open units and up to ``most`` queued jobs."""
    with database.begin() as connection:
        row = connection.execute(_BACKLOG, {"most": most, "kind": PAUSED}).one()
    return Backlog(int(row.waiting), frozenset(row.paused))
