"""Counts by name and labels that cost the same at any number of rows: kept by triggers, read and folded here.

A change is a row of its own, inserted in the transaction of the act, so that counting locks nothing; `fold` adds what has
gathered to the sums. A reader sees both, in one snapshot: a count is right whether anybody folds or not.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

from db.engine import Database

FOLD_ROWS = 20_000
_LOCK = 0x74616C6C79  # "tally": one folds at a time

# Upper bounds of the buckets of dwell times, in seconds, as the triggers write them; "+Inf" is above the last.
DWELL_BOUNDS = ("1", "2.5", "5", "10", "30", "60", "120", "300", "600", "1800", "3600", "14400", "86400", "+Inf")

Labels = tuple[str, ...]
Tallies = Mapping[str, Mapping[Labels, float]]

_ADD = text("INSERT INTO counter_changes (name, labels, amount) VALUES (:name, :labels, :amount)")
_READ = text("""
    SELECT name, labels, sum(amount) AS amount
    FROM (SELECT name, labels, amount FROM counters UNION ALL SELECT name, labels, amount FROM counter_changes) AS both_of_them
    GROUP BY name, labels
""")
_FOLD = text("""
    WITH gone AS (DELETE FROM counter_changes WHERE id IN (SELECT id FROM counter_changes ORDER BY id LIMIT :limit)
                  RETURNING name, labels, amount),
         folded AS (INSERT INTO counters AS t (name, labels, amount)
                    SELECT name, labels, sum(amount) FROM gone GROUP BY name, labels
                    ON CONFLICT (name, labels) DO UPDATE SET amount = t.amount + excluded.amount)
    SELECT count(*) FROM gone
""")


def add(connection: Connection, changes: Iterable[tuple[str, Labels, float]]) -> None:
    """Count in the caller's transaction: (name, labels, by how much)."""
    rows = [{"name": name, "labels": list(labels), "amount": amount} for name, labels, amount in changes]
    if rows:
        connection.execute(_ADD, rows)


def read(connection: Connection) -> Tallies:
    """name -> labels -> amount."""
    found: dict[str, dict[Labels, float]] = {}
    for row in connection.execute(_READ):
        found.setdefault(row.name, {})[tuple(row.labels)] = float(row.amount)
    return found


def fold(database: Database, limit: int = FOLD_ROWS) -> int:
    """Add up to ``limit`` changes to the sums; gives how many. 0 where another is at it."""
    with database.begin() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}).scalar_one():
            return 0
        return int(connection.execute(_FOLD, {"limit": limit}).scalar_one())
