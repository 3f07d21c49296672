"""Reads and adds up the counts that triggers keep (db/schema/counters.sql), at the same cost for any number of rows.

A change of a count is a row, inserted in the transaction of the act, so that counting locks nothing. `fold_changes` adds the changes to
the sums. A reader adds up both in one snapshot, so that a count is right whether or not changes were folded.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

from db.engine import Database

FOLD_ROWS = 20_000
_LOCK = 0x74616C6C79  # "tally": one process at a time folds changes

# Upper bounds of the buckets of dwell times, in seconds, as the triggers write them; "+Inf" is above the last.
DWELL_BOUNDS = ("1", "2.5", "5", "10", "30", "60", "120", "300", "600", "1800", "3600", "14400", "86400", "+Inf")

Labels = tuple[str, ...]
Counters = Mapping[str, Mapping[Labels, float]]

_ADD = text("INSERT INTO counter_changes (name, labels, amount) VALUES (:name, :labels, :amount)")
_READ = text("""
    SELECT name, labels, sum(amount) AS amount
    FROM (SELECT name, labels, amount FROM counters UNION ALL SELECT name, labels, amount FROM counter_changes) AS sums_and_changes
    GROUP BY name, labels
""")
_FOLD = text("""
    WITH taken AS (DELETE FROM counter_changes WHERE id IN (SELECT id FROM counter_changes ORDER BY id LIMIT :limit)
                   RETURNING name, labels, amount),
         folded AS (INSERT INTO counters AS c (name, labels, amount)
                    SELECT name, labels, sum(amount) FROM taken GROUP BY name, labels
                    ON CONFLICT (name, labels) DO UPDATE SET amount = c.amount + excluded.amount)
    SELECT count(*) FROM taken
""")


def add(connection: Connection, changes: Iterable[tuple[str, Labels, float]]) -> None:
    """Add to counts in the caller's transaction: (name, labels, amount)."""
    rows = [{"name": name, "labels": list(labels), "amount": amount} for name, labels, amount in changes]
    if rows:
        connection.execute(_ADD, rows)


def read(connection: Connection) -> Counters:
    """Return every count: name -> labels -> amount."""
    found: dict[str, dict[Labels, float]] = {}
    for row in connection.execute(_READ):
        found.setdefault(row.name, {})[tuple(row.labels)] = float(row.amount)
    return found


def fold_changes(database: Database, limit: int = FOLD_ROWS) -> int:
    """Add up to ``limit`` changes to the sums and return how many; 0 while another process does it."""
    with database.begin() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}).scalar_one():
            return 0
        return int(connection.execute(_FOLD, {"limit": limit}).scalar_one())
