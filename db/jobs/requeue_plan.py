"""Plans which failed jobs a person has queued again, by model and reason, and why others cannot be (`db.jobs.job_admin.requeue_jobs`)."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from db.bulk.row_range import WHOLE, RowRange
from db.engine import Database

OUTDATED = "its unit has a newer revision"
# The second condition lets the planner take the index of jobs under way.
_FAILED = "j.state IN ('failed', 'quarantined') AND j.state NOT IN ('delivered', 'superseded')"
_FOUND = text(f"""
    SELECT j.id AS job_id, j.model, j.model_version, j.state, j.reason, st.study_instance_uid, j.revision <> u.revision AS outdated
    FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE {_FAILED}
      AND (CAST(:model AS text) IS NULL OR j.model = :model) AND (CAST(:cause AS text) IS NULL OR j.reason = :cause)
      AND j.id > :after AND (:last = 0 OR j.id <= :last)
    ORDER BY j.id LIMIT :limit
""")
_CAUSES = text(f"""
    SELECT j.model, j.reason AS cause, count(*) AS number FROM jobs j WHERE {_FAILED}
    GROUP BY j.model, j.reason ORDER BY number DESC, j.model, j.reason LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class FailedSelection:
    """Failed jobs that a person wants to be queued again: of a model, and with the reason ``cause``; "" is any."""

    model: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class PlannedRequeue:
    """A failed job that would be queued again; with a ``refusal`` it is not. ``cause``: why it has failed."""

    job_id: int
    model: str
    model_version: str
    state: str
    cause: str
    study_instance_uid: str
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class FailureCause:
    """How many jobs of a model have failed with the same reason."""

    model: str
    cause: str
    number: int


def plan_requeue(database: Database, selection: FailedSelection, part: RowRange = WHOLE) -> list[PlannedRequeue]:
    """Return the selected failed jobs in a range of numbers, by number. Nothing is changed."""
    values = {"model": selection.model or None, "cause": selection.cause or None, **part.values()}
    with database.begin() as connection:
        return [_planned(row) for row in connection.execute(_FOUND, values)]


def failure_causes(database: Database, *, limit: int) -> list[FailureCause]:
    """Return the most frequent reasons for which jobs have failed, by model."""
    with database.begin() as connection:
        return [FailureCause(**row) for row in connection.execute(_CAUSES, {"limit": limit}).mappings()]


def _planned(row: Any) -> PlannedRequeue:
    refusal = OUTDATED if row.outdated else ""
    return PlannedRequeue(row.job_id, row.model, row.model_version, row.state, row.reason, row.study_instance_uid, refusal)
