"""Rows of storage commitment that nobody asks for any more: the events in the audit trail stay."""

from sqlalchemy import text

from db import audit, counters
from db.engine import Database

AT_ONCE = 500

# Of our own requests those that are over, and of whose deliveries none still waits for an answer.
_OURS = """
    SELECT c.id FROM commitment_requests c
    WHERE c.state IN ('answered', 'unanswered') AND c.created_at < node_now() - make_interval(days => :days)
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.commitment_id = c.id AND d.state = 'stored' AND d.commit_wanted)
"""
_THEIRS = """
    SELECT a.id FROM source_commitment_requests a
    WHERE a.state <> 'pending' AND a.received_at < node_now() - make_interval(days => :days)
"""
_COUNT = text(f"SELECT (SELECT count(*) FROM ({_OURS}) AS ours) + (SELECT count(*) FROM ({_THEIRS}) AS theirs)")
_SOME_OF_OURS = text(f"{_OURS} ORDER BY c.id LIMIT :limit FOR UPDATE OF c SKIP LOCKED")
_PART = text("UPDATE deliveries SET commitment_id = NULL WHERE commitment_id = ANY(:ids)")
_ITEMS = text("DELETE FROM commitment_request_items WHERE commitment_id = ANY(:ids)")
_COMMITMENTS = text("DELETE FROM commitment_requests WHERE id = ANY(:ids)")
_ANSWERS = text(f"DELETE FROM source_commitment_requests WHERE id IN ({_THEIRS} ORDER BY a.id LIMIT :limit FOR UPDATE SKIP LOCKED)")


def count(database: Database, days: int) -> int:
    """How many requests, ours and those of sources, are over and older than that."""
    with database.begin() as connection:
        return int(connection.execute(_COUNT, {"days": days}).scalar_one())


def forget(database: Database, days: int, *, actor: str, limit: int) -> int:
    """Delete up to ``limit`` of each; gives how many."""
    total = 0
    while total < limit:
        with database.begin() as connection:
            values = {"days": days, "limit": min(AT_ONCE, limit - total)}
            ids = list(connection.execute(_SOME_OF_OURS, values).scalars())
            for statement in (_PART, _ITEMS, _COMMITMENTS) if ids else ():
                connection.execute(statement, {"ids": ids})
            done = len(ids) + int(connection.execute(_ANSWERS, values).rowcount)
            if done:
                audit.record(
                    connection, actor=actor, action="retention.forgot", subject="commitments", details={"rows": done, "days": days}
                )
                counters.add(connection, [("removed", ("records",), done)])
        if not done:
            break
        total += done
    return total
