"""Complete units that a trial may take: what routes of the model have selected, and which have a result of the version on trial."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from core.states import OPEN_JOB_STATES
from db.engine import Database
from db.listings.unrouted import IMAGES_REMOVED

PAGE = 1000  # units that are read at once, so that a period of a million takes no more memory than one of a thousand
# The job of the version on trial.
_TRIED = """
    LEFT JOIN jobs tried ON tried.unit_id = u.id AND tried.revision = u.revision AND tried.pipeline_digest = :digest
                         AND tried.state NOT IN ('superseded', 'cancelled')
"""
# A route has selected a unit where its job says so, whatever became of the job: a trial asks which images come, not what was said of them.
_SELECTED_BY = """
    SELECT array_agg(DISTINCT name) FROM jobs j, unnest(j.routes) AS name
    WHERE j.unit_id = u.id AND j.revision = u.revision AND j.model = :model AND NOT j.shadow AND name = ANY(:routes)
"""
_STORED = text(f"""
    SELECT u.id, u.revision, se.study_id, st.study_instance_uid, {IMAGES_REMOVED} AS images_removed,
           coalesce(chosen.routes, '{{}}') AS selected_by, tried.id AS job_id, coalesce(tried.routes, '{{}}') AS tried_for,
           tried.id IS NOT NULL AND tried.state <> ALL(:open) AS ended, u.completed_at
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id {_TRIED}
    CROSS JOIN LATERAL ({_SELECTED_BY}) AS chosen(routes)
    WHERE u.state = 'complete' AND u.held > 0
      AND (CAST(:since AS timestamptz) IS NULL OR u.completed_at >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR u.completed_at < :until)
      AND (CAST(:before_at AS timestamptz) IS NULL
           OR (u.completed_at, u.id) < (CAST(:before_at AS timestamptz), CAST(:before_id AS bigint)))
    ORDER BY u.completed_at DESC, u.id DESC LIMIT :page
""")
_PRESENT = text(f"""
    SELECT u.id, u.revision, tried.id AS job_id, tried.id IS NOT NULL AND tried.state <> ALL(:open) AS ended FROM units u {_TRIED}
    WHERE u.id = ANY(:ids)
""")
# Routes for which an earlier run of the trial has chosen a series of a study.
_TRIED_ROUTES = text("""
    SELECT DISTINCT name FROM series se JOIN units u ON u.series_id = se.id JOIN jobs j ON j.unit_id = u.id AND j.revision = u.revision,
           unnest(j.routes) AS name
    WHERE se.study_id = :study_id AND j.pipeline_digest = :digest AND j.state NOT IN ('superseded', 'cancelled')
""")
_OPEN = [state.value for state in OPEN_JOB_STATES]


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
    ended
        That job neither waits nor runs.
    """

    id: int
    revision: int
    study_id: int
    study_instance_uid: str
    images_removed: bool
    selected_by: tuple[str, ...]
    job_id: int | None
    tried_for: tuple[str, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class UnitOnTrial:
    """How far the trial of a unit is: its present revision, and the job of the version on trial (None: it has none)."""

    id: int
    revision: int
    job_id: int | None
    ended: bool


def stored_units(database: Database, selection: TrialSelection, *, page: int = PAGE) -> Iterator[StoredUnit]:
    """Yield the complete units of the time of the selection, the latest first, whether or not a route selects them.

    ``page`` of them are in memory at a time. A unit that gets new images meanwhile is yielded at most once.
    """
    values: dict[str, Any] = {
        "model": selection.model,
        "digest": selection.digest,
        "routes": list(selection.routes),
        "since": selection.since,
        "until": selection.until,
        "open": _OPEN,
        "page": page,
        "before_at": None,
        "before_id": None,
    }
    while True:
        with database.begin() as connection:
            rows = connection.execute(_STORED, values).all()
        for row in rows:
            found = row._asdict() | {name: tuple(getattr(row, name)) for name in ("selected_by", "tried_for")}
            del found["completed_at"]
            yield StoredUnit(**found)
        if len(rows) < page:
            return
        values |= {"before_at": rows[-1].completed_at, "before_id": rows[-1].id}


def units_now(database: Database, digest: str, ids: Sequence[int]) -> list[UnitOnTrial]:
    """Return how far the trial of the pipeline ``digest`` is for some hundred units, in the order of ``ids``; deleted ones are left out."""
    with database.begin() as connection:
        rows = connection.execute(_PRESENT, {"ids": list(ids), "digest": digest, "open": _OPEN}).all()
    found = {row.id: UnitOnTrial(*row) for row in rows}
    return [found[id] for id in ids if id in found]


def tried_routes(database: Database, digest: str, study_id: int) -> frozenset[str]:
    """Return the routes for which the pipeline ``digest`` was tried on a unit of a study already."""
    with database.begin() as connection:
        return frozenset(connection.execute(_TRIED_ROUTES, {"study_id": study_id, "digest": digest}).scalars())
