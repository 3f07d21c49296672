"""Wake-ups on their way to the broker: written with the job, published right behind, repeated while nobody comes."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from db.engine import Database
from db.notify import notify
from db.records import OutboxRow

_ADD = text("""
    INSERT INTO outbox (job_id, queue, model) SELECT id, 'infer.' || priority, model FROM jobs WHERE id = ANY(:ids) ORDER BY id
    ON CONFLICT DO NOTHING
""")
_PENDING = text("SELECT id, job_id, queue, model FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT :limit")
# The job's row is not touched: the worker that this wakes would find it locked, pass over it and go back to sleep.
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


def add(connection: Connection, job_ids: Iterable[int]) -> None:
    """Wake-ups for these jobs in the caller's transaction; none where one is pending."""
    connection.execute(_ADD, {"ids": list(job_ids)})
    notify(connection, "outbox")


def pending(database: Database, limit: int) -> list[OutboxRow]:
    """What is to be published, oldest first. ``queue`` is ``infer.urgent`` or ``infer.routine``."""
    with database.begin() as connection:
        return [OutboxRow(*row) for row in connection.execute(_PENDING, {"limit": limit})]


def published(database: Database, ids: Iterable[int]) -> None:
    """The broker has these. A crash before this call publishes twice, which is harmless."""
    with database.begin() as connection:
        connection.execute(_PUBLISHED, {"ids": list(ids)})


def republish_stale(database: Database, *, dwell_s: float, cap: int, queue: str | None = None) -> int:
    """Wake-ups again for up to ``cap`` jobs whose last one is ``dwell_s`` old and whose next attempt is due.

    Jobs that are queued, and those that owe a report of why there is no answer. This is what an emptied broker, and a retry that
    waited, live from. ``queue``: of this one only. Gives how many.
    """
    with database.begin() as connection:
        stale = list(connection.execute(_STALE, {"dwell_s": dwell_s, "cap": cap, "queue": queue}).scalars())
        if stale:
            add(connection, stale)
    return len(stale)
