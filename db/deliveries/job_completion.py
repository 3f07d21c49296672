"""When a job is delivered: nothing of it is missing at any destination."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from db import audit

_LOCK_JOBS = text("SELECT id FROM jobs WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
# A withdrawn delivery is not missing; a held or failed one is, and so is one whose commitment is still to come.
_DELIVERED = text("""
    UPDATE jobs SET state = 'delivered', delivered_at = node_now()
    WHERE id = ANY(:ids) AND state = 'reported'
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.job_id = jobs.id
                      AND (d.state NOT IN ('stored', 'committed', 'withdrawn') OR (d.state = 'stored' AND d.commit_wanted)))
    RETURNING id
""")


def lock_jobs(connection: Connection, ids: Sequence[int]) -> None:
    """Jobs before their deliveries, in the order of their ids."""
    connection.execute(_LOCK_JOBS, {"ids": list(ids)})


def close_jobs(connection: Connection, ids: Sequence[int]) -> None:
    """Those that are done become ``delivered``. They are locked by the caller."""
    for id in sorted(connection.execute(_DELIVERED, {"ids": list(ids)}).scalars()):
        audit.record(connection, actor="sender", action="job.delivered", subject=f"job:{id}")
