"""Storage commitment reports that could not be sent to their source: listed, sent again or given up by a person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db import audit
from db.bulk.row_range import WHOLE, RowRange
from db.engine import Database
from db.notify import notify

_FAILED = """
    SELECT id, source, cardinality(sop_instance_uids) AS instances, attempts, received_at, answered_at AS failed_at, note
    FROM source_commitment_requests WHERE state = 'failed'
"""
_LIST = text(f"""
    {_FAILED} AND (CAST(:before AS bigint) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :limit
""")
_SELECTED = text(f"""
    {_FAILED} AND (CAST(:source AS text) IS NULL OR source = :source) AND id > :after AND (:last = 0 OR id <= :last)
    ORDER BY id LIMIT :limit
""")
_SOURCES = text("""
    SELECT source, count(*) AS number FROM source_commitment_requests WHERE state = 'failed' GROUP BY source ORDER BY number DESC, source
""")
_RETRY = text("""
    UPDATE source_commitment_requests SET state = 'pending', attempts = 0, next_attempt_at = node_now(), answered_at = NULL, note = ''
    WHERE id = ANY(:ids) AND state IN ('failed', 'given_up') RETURNING id
""")
_GIVE_UP = text("""
    UPDATE source_commitment_requests SET state = 'given_up', note = CAST(:why AS text) || ' (it was failed: ' || note || ')'
    WHERE id = ANY(:ids) AND state = 'failed' RETURNING id
""")
_STATES = text("SELECT id, state FROM source_commitment_requests WHERE id = ANY(:ids)")
_IN_WORDS = {"pending": "is still to be sent", "answered": "was sent", "failed": "has failed", "given_up": "is given up already"}


@dataclass(frozen=True, slots=True)
class FailedReport:
    """A report that could not be sent: number of the request, AE title of its source, number of instances, attempts; ``note`` says why."""

    id: int
    source: str
    instances: int
    attempts: int
    received_at: datetime
    failed_at: datetime
    note: str


def list_failed_reports(database: Database, *, limit: int, before: int | None = None) -> list[FailedReport]:
    """Return the reports that could not be sent, the newest request first; ``before`` continues behind the request with this number."""
    with database.begin() as connection:
        return [FailedReport(**row) for row in connection.execute(_LIST, {"limit": limit, "before": before}).mappings()]


def select_failed_reports(database: Database, source: str, part: RowRange = WHOLE) -> list[FailedReport]:
    """Return the reports to a source ("" is any) in a range of numbers that could not be sent, by number."""
    with database.begin() as connection:
        return [FailedReport(**row) for row in connection.execute(_SELECTED, {"source": source or None, **part.values()}).mappings()]


def sources_of_failed_reports(database: Database) -> list[tuple[str, int]]:
    """Return the sources to which reports could not be sent, and how many."""
    with database.begin() as connection:
        return [(row.source, row.number) for row in connection.execute(_SOURCES)]


def retry_reports(database: Database, ids: Iterable[int], actor: str) -> list[int]:
    """Send failed and given up reports again, now; return the ids of those that are. Their attempts are counted from 0."""
    with database.begin() as connection:
        done = sorted(connection.execute(_RETRY, {"ids": list(ids)}).scalars())
        for id in done:
            audit.record(connection, actor=actor, action="commitment.retried_source", subject=f"answer:{id}")
        if done:
            notify(connection, "delivery")
    return done


def give_up_reports(database: Database, ids: Iterable[int], *, actor: str, reason: str) -> list[int]:
    """Give up failed reports: they are not listed any more; return the ids of those that were. `retry_reports` takes it back."""
    why = f"given up by {actor.partition(':')[2] or actor}: {reason}"
    with database.begin() as connection:
        done = sorted(connection.execute(_GIVE_UP, {"ids": list(ids), "why": why}).scalars())
        for id in done:
            audit.record(connection, actor=actor, action="commitment.given_up_source", subject=f"answer:{id}", details={"reason": reason})
    return done


def report_refusals(database: Database, ids: Sequence[int], done: Iterable[int]) -> list[str]:
    """Return, for each of ``ids`` that is not in ``done``, why the report was not sent again or given up."""
    with database.begin() as connection:
        states = {row.id: row.state for row in connection.execute(_STATES, {"ids": list(ids)})}
    left = [id for id in dict.fromkeys(ids) if id not in set(done)]
    return [f"report {id} {_IN_WORDS[states[id]]}" if id in states else f"there is no report {id}" for id in left]
