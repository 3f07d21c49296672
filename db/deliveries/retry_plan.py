"""Plans which failed deliveries a person has sent again, by destination and reason, and why others cannot be.

What is held was stopped by a rule or waits for a verdict: a person releases each of them (`db.deliveries.delivery_admin.retry_deliveries`
does both).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from db.bulk.row_range import WHOLE, RowRange
from db.engine import Database

# The second condition lets the planner take the index of deliveries that are not done.
_FAILED = "d.state = 'failed' AND d.state NOT IN ('stored', 'committed', 'withdrawn')"
_FOUND = text(f"""
    SELECT d.id AS delivery_id, d.job_id, d.destination, r.kind AS object, d.attempts, d.note, j.state = 'superseded' AS superseded,
           d.awaiting_verdict OR d.destination = ANY(j.awaiting_verdict) AS awaiting_verdict, r.removed_at, st.study_instance_uid
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id
    JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE {_FAILED}
      AND (CAST(:destination AS text) IS NULL OR d.destination = :destination) AND (CAST(:cause AS text) IS NULL OR d.note = :cause)
      AND d.id > :after AND (:last = 0 OR d.id <= :last)
    ORDER BY d.id LIMIT :limit
""")
_CAUSES = text(f"""
    SELECT d.destination, d.note AS cause, count(*) AS number FROM deliveries d WHERE {_FAILED}
    GROUP BY d.destination, d.note ORDER BY number DESC, d.destination, d.note LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class FailedDeliveries:
    """Failed deliveries that a person wants to be sent again: to a destination, and with the reason ``cause``; "" is any."""

    destination: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class PlannedRetry:
    """A failed delivery that would be sent again; with a ``refusal`` it is not. ``cause``: why it has failed."""

    delivery_id: int
    job_id: int
    destination: str
    object: str
    attempts: int
    cause: str
    study_instance_uid: str
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryCause:
    """How many deliveries to a destination have failed with the same reason."""

    destination: str
    cause: str
    number: int


def plan_retry(database: Database, selection: FailedDeliveries, part: RowRange = WHOLE) -> list[PlannedRetry]:
    """Return the selected failed deliveries in a range of numbers, by number. Nothing is changed."""
    values = {"destination": selection.destination or None, "cause": selection.cause or None, **part.values()}
    with database.begin() as connection:
        return [_planned(row) for row in connection.execute(_FOUND, values)]


def delivery_causes(database: Database, *, limit: int) -> list[DeliveryCause]:
    """Return the most frequent reasons for which deliveries have failed, by destination."""
    with database.begin() as connection:
        return [DeliveryCause(**row) for row in connection.execute(_CAUSES, {"limit": limit}).mappings()]


def _planned(row: Any) -> PlannedRetry:
    because: Mapping[str, bool] = {
        "its result is superseded": row.superseded,
        "the result waits for a clinician's verdict": row.awaiting_verdict,
        "retention has deleted the file; `jobs rerun` makes it again": row.removed_at is not None,
    }
    refusal = next((reason for reason, applies in because.items() if applies), "")
    return PlannedRetry(row.delivery_id, row.job_id, row.destination, row.object, row.attempts, row.note, row.study_instance_uid, refusal)
