"""Deletes old storage commitment requests that have ended. Their events in the audit trail remain."""

from sqlalchemy import text

from db import audit, counters
from db.engine import Database

BATCH = 500

# Requests to destinations that have ended, and of whose deliveries none still waits for a report.
_TO_DESTINATIONS = """
    SELECT c.id FROM commitment_requests c
    WHERE c.state IN ('answered', 'unanswered') AND c.created_at < node_now() - make_interval(days => :days)
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.commitment_id = c.id AND d.state = 'stored' AND d.commit_wanted)
"""
_OF_SOURCES = """
    SELECT a.id FROM source_commitment_requests a
    WHERE a.state <> 'pending' AND a.received_at < node_now() - make_interval(days => :days)
"""
_COUNT = text(f"SELECT (SELECT count(*) FROM ({_TO_DESTINATIONS}) AS ours) + (SELECT count(*) FROM ({_OF_SOURCES}) AS theirs)")
_BATCH_TO_DESTINATIONS = text(f"{_TO_DESTINATIONS} ORDER BY c.id LIMIT :limit FOR UPDATE OF c SKIP LOCKED")
_CLEAR = text("UPDATE deliveries SET commitment_id = NULL WHERE commitment_id = ANY(:ids)")
_DELETE_ITEMS = text("DELETE FROM commitment_request_items WHERE commitment_id = ANY(:ids)")
_DELETE_REQUESTS = text("DELETE FROM commitment_requests WHERE id = ANY(:ids)")
_DELETE_OF_SOURCES = text(
    f"DELETE FROM source_commitment_requests WHERE id = ANY(ARRAY({_OF_SOURCES} ORDER BY a.id LIMIT :limit FOR UPDATE SKIP LOCKED))"
)


def count_expired(database: Database, days: int) -> int:
    """Return how many requests, to destinations and of sources, have ended and are older than ``days``."""
    with database.begin() as connection:
        return int(connection.execute(_COUNT, {"days": days}).scalar_one())


def delete_expired(database: Database, days: int, *, actor: str, limit: int) -> int:
    """Delete up to about ``limit`` requests that have ended and are older than ``days``; return how many."""
    total = 0
    while total < limit:
        with database.begin() as connection:
            values = {"days": days, "limit": min(BATCH, limit - total)}
            ids = list(connection.execute(_BATCH_TO_DESTINATIONS, values).scalars())
            for statement in (_CLEAR, _DELETE_ITEMS, _DELETE_REQUESTS) if ids else ():
                connection.execute(statement, {"ids": ids})
            done = len(ids) + int(connection.execute(_DELETE_OF_SOURCES, values).rowcount)
            if done:
                audit.record(
                    connection, actor=actor, action="retention.forgot", subject="commitments", details={"rows": done, "days": days}
                )
                counters.add(connection, [("removed", ("records",), done)])
        if not done:
            break
        total += done
    return total
