"""What a person, or the return of a destination, does with deliveries: list, send again, make due."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import text

from core.states import DeliveryState
from db import audit
from db.deliveries import delivery_order
from db.deliveries.job_completion import lock_jobs
from db.engine import Database
from db.notify import notify
from db.row_values import row_to_json

_MAKE_DUE = text("""
    UPDATE deliveries SET next_attempt_at = created_at
    WHERE destination = :destination AND state = 'pending' AND next_attempt_at > (SELECT node_now())
""")
_LIST = text("""
    SELECT * FROM v_deliveries WHERE (CAST(:state AS text) IS NULL OR state = :state)
      AND (CAST(:destination AS text) IS NULL OR destination = :destination)
      AND (CAST(:before AS bigint) IS NULL OR delivery_id < :before)
    ORDER BY delivery_id DESC LIMIT :limit
""")
_JOBS_OF = text("SELECT DISTINCT job_id FROM deliveries WHERE id = ANY(:ids)")
_RETRY = text("""
    UPDATE deliveries d SET state = 'pending', next_attempt_at = node_now(), changed_at = node_now(), attempts = 0, resends = 0,
        commitment_id = NULL
    FROM jobs j
    WHERE d.id = ANY(:ids) AND d.state IN ('held', 'failed', 'pending') AND NOT d.awaiting_verdict
      AND j.id = d.job_id AND j.state <> 'superseded'
    RETURNING d.id
""")


def make_deliveries_due(database: Database, destination: str) -> int:
    """Make all waiting deliveries to a destination that is reachable again due now, in the order of their creation; return how many."""
    with database.begin() as connection:
        return int(connection.execute(_MAKE_DUE, {"destination": destination}).rowcount)


def list_deliveries(
    database: Database, *, state: DeliveryState | str | None = None, destination: str | None = None, before: int | None = None,
    limit: int = 200,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return rows of v_deliveries as JSON objects, the newest first; ``before`` continues behind the delivery with this number."""
    values = {"state": None if state is None else str(state), "destination": destination, "before": before, "limit": limit}
    with database.begin() as connection:
        return [row_to_json(row) for row in connection.execute(_LIST, values)]


def retry_deliveries(database: Database, ids: Iterable[int], actor: str) -> list[int]:
    """Make held, failed and waiting deliveries due now; return the ids of those that were. It is audited who released them.

    Deliveries that wait for a verdict are released with their result (`db.verdicts.releases`), not here.
    """
    wanted = list(ids)
    with database.begin() as connection:
        lock_jobs(connection, list(connection.execute(_JOBS_OF, {"ids": wanted}).scalars()))
        done = sorted(connection.execute(_RETRY, {"ids": wanted}).scalars())
        delivery_order.restore_replaced_reports(connection, done, actor)
        for id in done:
            audit.record(connection, actor=actor, action="delivery.released", subject=f"delivery:{id}")
        if done:
            notify(connection, "delivery")
    return done
