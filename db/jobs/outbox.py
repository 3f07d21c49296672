"""The outbox: wake-ups for the broker, written with the job, published by the relay, and repeated while no worker claims the job."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from db.engine import Database
from db.notify import notify

_ADD = text("""
    INSERT INTO outbox (job_id, queue, model) SELECT id, 'infer.' || priority, model FROM jobs WHERE id = ANY(:ids) ORDER BY id
    ON CONFLICT DO NOTHING
""")
_PENDING = text("SELECT id, job_id, queue, model FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT :limit")
# The job's row is not updated: the worker that the message wakes would find it locked and skip it.
_PUBLISHED = text("UPDATE outbox SET published_at = node_now() WHERE id = ANY(:ids) AND published_at IS NULL")
_STALE = text("""
    SELECT j.id FROM jobs j JOIN units u ON u.id = j.unit_id AND u.revision = j.revision
    WHERE (j.state = 'queued' OR j.failure_state IS NOT NULL AND j.state IN ('failed', 'quarantined'))
      AND j.next_attempt_at <= (SELECT node_now())
      AND coalesce((SELECT max(o.published_at) FROM outbox o WHERE o.job_id = j.id), j.queued_at)
          < node_now() - make_interval(secs => :dwell_s)
      AND (CAST(:queue AS text) IS NULL OR 'infer.' || j.priority = :queue)
      AND NOT EXISTS (SELECT FROM outbox o WHERE o.job_id = j.id AND o.published_at IS NULL)
    ORDER BY j.priority DESC, j.id LIMIT :cap
""")


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A wake-up that has not been given to the broker. ``queue`` is ``infer.urgent`` or ``infer.routine``."""

    id: int
    job_id: int
    queue: str
    model: str


def add_wake_ups(connection: Connection, job_ids: Iterable[int]) -> None:
    """Write wake-ups for jobs in the caller's transaction, except for jobs that have one pending."""
    connection.execute(_ADD, {"ids": list(job_ids)})
    notify(connection, "outbox")


def pending_wake_ups(database: Database, limit: int) -> list[OutboxRow]:
    """Return wake-ups that are to be published, oldest first."""
    with database.begin() as connection:
        return [OutboxRow(*row) for row in connection.execute(_PENDING, {"limit": limit})]


def mark_published(database: Database, ids: Iterable[int]) -> None:
    """Mark wake-ups that the broker has accepted. A crash before this call publishes them twice, which is harmless."""
    with database.begin() as connection:
        connection.execute(_PUBLISHED, {"ids": list(ids)})


def republish_stale(database: Database, *, dwell_s: float, cap: int, queue: str | None = None) -> int:
    """Write wake-ups again for up to ``cap`` due jobs whose last one is older than ``dwell_s``; return how many.

    These are queued jobs, and jobs whose report that they were not analysed is still to be made. They lost their wake-up when the broker
    was emptied, or are due after a wait. ``queue``: of this queue only.
    """
    with database.begin() as connection:
        stale = list(connection.execute(_STALE, {"dwell_s": dwell_s, "cap": cap, "queue": queue}).scalars())
        if stale:
            add_wake_ups(connection, stale)
    return len(stale)
