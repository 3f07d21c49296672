"""Complete units that a trial may take: what routes of the model have selected, and which have a result of the version on trial."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db.engine import Database
from db.listings.unrouted import IMAGES_REMOVED

# A route has selected a unit where its job says so, whatever became of the job: a trial asks which images come, not what was said of them.
_STORED = text(f"""
    SELECT u.id, u.revision, se.study_id, st.study_instance_uid, {IMAGES_REMOVED} AS images_removed,
           coalesce((SELECT array_agg(DISTINCT name) FROM jobs j, unnest(j.routes) AS name
                     WHERE j.unit_id = u.id AND j.revision = u.revision AND j.model = :model AND NOT j.shadow AND name = ANY(:routes)),
                    '{{}}') AS selected_by,
           tried.id AS job_id, coalesce(tried.routes, '{{}}') AS tried_for
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    LEFT JOIN jobs tried ON tried.unit_id = u.id AND tried.revision = u.revision AND tried.pipeline_digest = :digest
                         AND tried.state NOT IN ('superseded', 'cancelled')
    WHERE u.state = 'complete' AND u.held > 0
      AND (CAST(:since AS timestamptz) IS NULL OR u.completed_at >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR u.completed_at < :until)
    ORDER BY u.completed_at DESC, u.id DESC
""")


@dataclass(frozen=True, slots=True)
class TrialSelection:
    """Which units a trial takes: ``routes`` of the model, and the time at which they were complete (``until`` is excluded)."""

    model: str
    digest: str
    routes: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredUnit:
    """A complete unit.

    Attributes
    ----------
    images_removed
        Retention has deleted images of it.
    selected_by
        Routes of the selection for which the model has a job that is no shadow's.
    job_id, tried_for
        The job of the version on trial, with or without a result, and the routes that it was queued for; None and empty where it has none.
    """

    id: int
    revision: int
    study_id: int
    study_instance_uid: str
    images_removed: bool
    selected_by: tuple[str, ...]
    job_id: int | None
    tried_for: tuple[str, ...]


def stored_units(database: Database, selection: TrialSelection) -> list[StoredUnit]:
    """Return the complete units of the time of the selection, the latest first, whether or not a route selects them."""
    values = {
        "model": selection.model,
        "digest": selection.digest,
        "routes": list(selection.routes),
        "since": selection.since,
        "until": selection.until,
    }
    with database.begin() as connection:
        rows = connection.execute(_STORED, values).all()
    lists = ("selected_by", "tried_for")
    return [StoredUnit(**row._asdict() | {name: tuple(getattr(row, name)) for name in lists}) for row in rows]
