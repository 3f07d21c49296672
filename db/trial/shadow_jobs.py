"""Queues shadow jobs of a version for stored units, one transaction each, and reads how far they are."""

import json
from collections.abc import Iterable

from sqlalchemy import text

from core.states import OPEN_JOB_STATES, Priority
from db.complete.unit_jobs import UnitJobs
from db.complete.units import find_unit
from db.engine import Database
from db.jobs.job_records import JobPlan
from db.listings.unrouted import IMAGES_REMOVED

_LOCK = text(f"""
    SELECT u.evidence, u.completed_at, u.dropped, {IMAGES_REMOVED} AS images_removed FROM units u
    WHERE u.id = :id AND u.state = 'complete' AND u.revision = :revision FOR NO KEY UPDATE OF u
""")
_PRESENT = text("""
    SELECT id FROM jobs WHERE unit_id = :id AND revision = :revision AND pipeline_digest = :digest
      AND state NOT IN ('superseded', 'cancelled')
""")
_OPEN = text("SELECT id FROM jobs WHERE id = ANY(:ids) AND state = ANY(:states)")


def shadow_plan(model: str, version: str, digest: str, routes: tuple[str, ...]) -> JobPlan:
    """Return the plan of a shadow job: without destinations, claimed after all other work."""
    return JobPlan(model, version, digest, routes, destinations=(), priority=Priority.ROUTINE, shadow=True)


def queue_shadow_job(database: Database, unit_id: int, revision: int, plan: JobPlan, *, actor: str) -> int | None:
    """Queue a shadow job for a stored unit; return its number, or that of the job that the unit has for this version already.

    None where there is nothing to analyse any more: the unit has a newer revision, or retention has deleted images.
    """
    with database.begin() as connection:
        locked = connection.execute(_LOCK, {"id": unit_id, "revision": revision}).one_or_none()
        unit = find_unit(connection, unit_id)
        if locked is None or unit is None:
            return None
        values = {"id": unit_id, "revision": revision, "digest": plan.pipeline_digest}
        present = connection.execute(_PRESENT, values).scalar_one_or_none()
        if present is not None:
            return int(present)
        if locked.images_removed:
            return None
        return UnitJobs(connection, unit, json.dumps(locked.evidence), locked.completed_at, frozenset(locked.dropped), actor).add(plan)


def open_jobs(database: Database, ids: Iterable[int]) -> set[int]:
    """Return those of ``ids`` that are queued or running."""
    states = [state.value for state in OPEN_JOB_STATES]
    with database.begin() as connection:
        return set(connection.execute(_OPEN, {"ids": list(ids), "states": states}).scalars())
