"""Marks jobs delivered when every delivery of them is done."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from db import audit

_LOCK_JOBS = text("SELECT id FROM jobs WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
# A withdrawn or given up delivery counts as done. A held or failed one does not, nor one whose storage commitment is still awaited. Where
# everything was given up nothing was delivered.
_DELIVERED = text("""
    UPDATE jobs SET state = 'delivered', delivered_at = node_now()
    WHERE id = ANY(:ids) AND state = 'reported'
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.job_id = jobs.id
                      AND (d.state NOT IN ('stored', 'committed', 'withdrawn', 'given_up') OR (d.state = 'stored' AND d.commit_wanted)))
      AND EXISTS (SELECT FROM deliveries d WHERE d.job_id = jobs.id AND (d.state IN ('stored', 'committed') OR d.stored_at IS NOT NULL))
    RETURNING id
""")


def lock_jobs(connection: Connection, ids: Sequence[int]) -> None:
    """Lock jobs in the order of their ids. Jobs are locked before their deliveries."""
    connection.execute(_LOCK_JOBS, {"ids": list(ids)})


def mark_delivered_jobs(connection: Connection, ids: Sequence[int]) -> None:
    """Set those of the jobs to ``delivered`` whose deliveries are all done. The caller has locked them."""
    for id in sorted(connection.execute(_DELIVERED, {"ids": list(ids)}).scalars()):
        audit.record(connection, actor="sender", action="job.delivered", subject=f"job:{id}")
