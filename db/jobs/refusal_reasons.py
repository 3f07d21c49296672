"""Says why a job was not queued again or cancelled, or a delivery not sent again: a sentence for each, for the person who asked."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import TextClause, text

from core.states import DeliveryState
from db.engine import Database

_JOBS = text("""
    SELECT j.id, j.state, j.outcome, j.superseded_by, j.failure_state, j.revision <> u.revision AS outdated
    FROM jobs j JOIN units u ON u.id = j.unit_id WHERE j.id = ANY(:ids)
""")
_DELIVERIES = text("""
    SELECT d.id, d.job_id, d.state, d.awaiting_verdict OR d.destination = ANY(j.awaiting_verdict) AS awaiting_verdict, j.state AS job_state,
           r.removed_at
    FROM deliveries d JOIN jobs j ON j.id = d.job_id JOIN reports r ON r.id = d.report_id WHERE d.id = ANY(:ids)
""")


def job_refusals(database: Database, ids: Sequence[int], done: Collection[int]) -> list[str]:
    """Return, for each of ``ids`` that is not in ``done``, why the job was not queued again or cancelled."""
    return _refusals(database, _JOBS, ids, done, "job", _job_reason)


def delivery_refusals(database: Database, ids: Sequence[int], done: Collection[int]) -> list[str]:
    """Return, for each of ``ids`` that is not in ``done``, why the delivery was not sent again."""
    return _refusals(database, _DELIVERIES, ids, done, "delivery", _delivery_reason)


def _refusals(
    database: Database, statement: TextClause, ids: Sequence[int], done: Collection[int], kind: str, reason: Callable[[Any], str]
) -> list[str]:
    with database.begin() as connection:
        rows = {row.id: row for row in connection.execute(statement, {"ids": list(ids)})}
    wanted = [id for id in dict.fromkeys(ids) if id not in done]
    return [reason(rows[id]) if id in rows else f"there is no {kind} {id}" for id in wanted]


def _job_reason(row: Any) -> str:
    if row.superseded_by is not None:
        return f"job {row.id} is superseded by job {row.superseded_by}"
    if row.outdated:
        return f"job {row.id} is of an older revision of its unit"
    if row.state == "running" and row.failure_state is not None:
        return f"the report that job {row.id} was not analysed is being made: try again in a moment"
    return f"job {row.id} is {row.state}" + (f", with outcome {row.outcome}" if row.outcome else "")


def _delivery_reason(row: Any) -> str:
    if row.job_state == "superseded":
        return f"delivery {row.id} is of a result that is superseded"
    if row.awaiting_verdict:
        return (
            f"delivery {row.id} waits for a clinician's verdict: judge the result in the console, or dicom-node jobs release {row.job_id}"
        )
    if row.state == DeliveryState.GIVEN_UP and row.removed_at is not None:
        return f"retention has deleted the file of delivery {row.id}; dicom-node jobs rerun {row.job_id} makes it again"
    return f"delivery {row.id} is {row.state}"
