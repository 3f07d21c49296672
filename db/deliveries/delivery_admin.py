"""What a person, or the return of a destination, does with deliveries: send again, make due."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from db import audit
from db.deliveries import delivery_order
from db.deliveries.job_completion import lock_jobs
from db.engine import Database
from db.notify import notify

_MAKE_DUE = text("""
    UPDATE deliveries SET next_attempt_at = created_at
    WHERE destination = :destination AND state = 'pending' AND next_attempt_at > (SELECT node_now())
""")
_JOBS_OF = text("SELECT DISTINCT job_id FROM deliveries WHERE id = ANY(:ids)")
# A result that no verdict has released is not sent, also where a person has given it up: it is released as a whole.
_RETRY = text("""
    UPDATE deliveries d SET state = 'pending', next_attempt_at = node_now(), changed_at = node_now(), attempts = 0, resends = 0,
        commitment_id = NULL, note = CASE WHEN d.state = 'given_up' THEN '' ELSE d.note END
    FROM jobs j, reports r
    WHERE d.id = ANY(:ids) AND d.state IN ('held', 'failed', 'given_up', 'pending') AND NOT d.awaiting_verdict
      AND NOT d.destination = ANY(j.awaiting_verdict)
      AND j.id = d.job_id AND j.state <> 'superseded' AND r.id = d.report_id AND r.removed_at IS NULL
    RETURNING d.id
""")
# Of a job that counted as delivered, because one of its deliveries was given up.
_UNFINISHED = text("""
    UPDATE jobs SET state = 'reported' WHERE state = 'delivered' AND id IN (SELECT d.job_id FROM deliveries d WHERE d.id = ANY(:ids))
""")
_FORGET_REQUESTS = text("DELETE FROM commitment_request_items WHERE delivery_id = ANY(:ids)")


def make_deliveries_due(database: Database, destination: str) -> int:
    """Make all waiting deliveries to a destination that is reachable again due now, in the order of their creation; return how many."""
    with database.begin() as connection:
        return int(connection.execute(_MAKE_DUE, {"destination": destination}).rowcount)


def retry_deliveries(database: Database, ids: Iterable[int], actor: str) -> list[int]:
    """Make held, failed, given up and waiting deliveries due now; return the ids of those that were. It is audited who released them.

    Deliveries that wait for a verdict are released with their result (`db.verdicts.releases`), not here.
    """
    wanted = list(ids)
    with database.begin() as connection:
        lock_jobs(connection, list(connection.execute(_JOBS_OF, {"ids": wanted}).scalars()))
        done = sorted(connection.execute(_RETRY, {"ids": wanted}).scalars())
        connection.execute(_UNFINISHED, {"ids": done})
        forget_commitment_requests(connection, done)
        delivery_order.restore_replaced_reports(connection, done, actor)
        for id in done:
            audit.record(connection, actor=actor, action="delivery.released", subject=f"delivery:{id}")
        if done:
            notify(connection, "delivery")
    return done


def forget_commitment_requests(connection: Connection, ids: Iterable[int]) -> None:
    """Make reports on earlier storage commitment requests ineffective for deliveries that are sent again; their jobs are locked.

    Only the number of resends says which of them a report is about, and it begins at 0 again: a late report on an earlier one would count
    for the next, of which the destination has said nothing.
    """
    connection.execute(_FORGET_REQUESTS, {"ids": list(ids)})
