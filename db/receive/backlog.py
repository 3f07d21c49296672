"""How much waits to be analysed: what a receiver looks at once a second."""

from dataclasses import dataclass

from sqlalchemy import text

from db.engine import Database

PAUSED = "receive.paused"  # the alert's kind; its subject is the reason

# Bounded: what matters is whether the limit is passed, and no more than that is counted.
_LOOK = text("""
    SELECT (SELECT count(*) FROM (SELECT FROM units WHERE state = 'open' LIMIT :most) AS open_units)
         + (SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'queued' LIMIT :most) AS queued) AS waiting,
           (SELECT coalesce(array_agg(subject), '{}') FROM alerts WHERE kind = :kind) AS paused
""")


@dataclass(frozen=True, slots=True)
class Waiting:
    """``units``: open units and queued jobs. ``paused``: reasons for which receiving is paused, as all listeners know them."""

    units: int
    paused: frozenset[str]


def look(database: Database, *, most: int) -> Waiting:
    """Count up to ``most`` of each kind."""
    with database.begin() as connection:
        row = connection.execute(_LOOK, {"most": most, "kind": PAUSED}).one()
    return Waiting(int(row.waiting), frozenset(row.paused))
