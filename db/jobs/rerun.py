"""Runs a job again that has a result: as a new job, whose result supersedes the first one.

Result UIDs depend on the run number and the pipeline digest, so that the new objects are other objects, also on the same version. The new
report names the first one as its predecessor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from core.uids import job_key
from db import audit
from db.jobs import outbox
from db.jobs.ended_shadows import end_shadow
from db.jobs.prior_results import LEFT_OUT, SUPERSEDED

_UNIT = text("""
    SELECT u.id, u.kind, u.sop_instance_uid, se.series_instance_uid
    FROM units u JOIN series se ON se.id = u.series_id JOIN jobs j ON j.unit_id = u.id AND j.revision = u.revision
    WHERE j.id = :id FOR NO KEY UPDATE OF u
""")
# On the version that is active now; on the job's own version if none is active, or if the active one has a job for the unit already.
_LOCK = text("""
    SELECT j.revision, coalesce(m.digest, j.pipeline_digest) AS digest, coalesce(m.version, j.model_version) AS version
    FROM jobs j LEFT JOIN models m ON m.name = j.model AND m.state = 'active' AND NOT j.shadow
        AND NOT EXISTS (SELECT FROM jobs o WHERE o.unit_id = j.unit_id AND o.revision = j.revision AND o.pipeline_digest = m.digest
                        AND o.id <> j.id AND NOT o.shadow AND o.state NOT IN ('cancelled', 'superseded'))
    WHERE j.id = :id AND j.state IN ('failed', 'quarantined') AND j.outcome IS NOT NULL
    FOR NO KEY UPDATE OF j
""")
# A job with a result, to run on a version that a person has chosen. Retention, which locks the unit, may have removed images since the plan
# was made: the new job would fail, and supersede the result.
_LOCK_RESULT = text("""
    SELECT revision FROM jobs WHERE id = :id AND outcome IS NOT NULL AND NOT shadow AND state NOT IN ('superseded', 'cancelled', 'running')
      AND NOT EXISTS (SELECT FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id
                      WHERE ji.job_id = jobs.id AND i.removed_at IS NOT NULL)
    FOR NO KEY UPDATE
""")
_OTHER = text("""
    SELECT id FROM jobs WHERE unit_id = :unit_id AND pipeline_digest = :digest AND revision = :revision AND id <> :id
      AND NOT shadow AND state NOT IN ('cancelled', 'superseded')
""")
_HASHES = text("SELECT sha256 FROM instances WHERE unit_id = :unit_id AND state = 'current'")
_LAST_RUN = text("""
    SELECT max(run) FROM jobs WHERE unit_id = :unit_id AND pipeline_digest = :digest AND revision = :revision
""")
_SUPERSEDE = text("UPDATE jobs SET state = 'superseded', failure_state = NULL WHERE id = :id")
_ADD_JOB = text(f"""
    INSERT INTO jobs (key, unit_id, revision, run, model, model_version, pipeline_digest, routes, destinations, priority, shadow,
                      awaiting_verdict, prior_rule, evidence, completed_at)
    SELECT :key, unit_id, revision, :run, model, :version, :digest, routes,
           destinations || ARRAY(SELECT unnest(CAST(:added AS text[])) EXCEPT SELECT unnest(destinations)), priority, shadow,
           -- the new result waits again where the first one did, released or not
           ARRAY(SELECT unnest(awaiting_verdict) UNION SELECT unnest(r.destinations) FROM result_releases r WHERE r.job_id = jobs.id),
           prior_rule - '{LEFT_OUT}' - '{SUPERSEDED}',  -- the new job chooses anew
           evidence, completed_at
    FROM jobs WHERE id = :id RETURNING id
""")
_INPUTS = text("INSERT INTO job_inputs (job_id, instance_id) SELECT :new_id, instance_id FROM job_inputs WHERE job_id = :id")
_BY = text("UPDATE jobs SET superseded_by = :new_id WHERE id = :id")
_WITHDRAW = text("""
    UPDATE deliveries SET state = 'withdrawn', note = 'superseded before it was delivered', changed_at = node_now()
    WHERE job_id = :id AND state IN ('pending', 'held')
""")


@dataclass(frozen=True, slots=True)
class RerunTarget:
    """The version of a model on which a job runs again: version number and pipeline digest."""

    version: str
    digest: str


def rerun_failed_job(connection: Connection, job_id: int, actor: str) -> int | None:
    """Queue a new job for one whose report says that it was not analysed; return its id.

    None if the job is in another state, or its unit has a newer revision.
    """
    unit = connection.execute(_UNIT, {"id": job_id}).one_or_none()
    old = connection.execute(_LOCK, {"id": job_id}).one_or_none()
    if unit is None or old is None:
        return None
    target = RerunTarget(old.version, old.digest)
    return _replace(connection, job_id, unit, old.revision, target, actor=actor, action="job.requeued")


def rerun_job(
    connection: Connection, job_id: int, target: RerunTarget, *, actor: str, reason: str, added: Sequence[str] = ()
) -> int | None:
    """Queue a new job on a version of the model for one that has a result; return its id.

    None if the job has no result or a newer one, images of it were removed, or another job of the unit has this version. ``added``:
    destinations that receive the new result besides those that received the first one.
    """
    unit = connection.execute(_UNIT, {"id": job_id}).one_or_none()
    old = connection.execute(_LOCK_RESULT, {"id": job_id}).one_or_none()
    if unit is None or old is None:
        return None
    values = {"unit_id": unit.id, "digest": target.digest, "revision": old.revision, "id": job_id}
    if connection.execute(_OTHER, values).first() is not None:
        return None
    return _replace(connection, job_id, unit, old.revision, target, actor=actor, action="job.rerun", reason=reason, added=added)


def _replace(
    connection: Connection, job_id: int, unit: Any, revision: int, target: RerunTarget, *, actor: str, action: str, reason: str = "",
    added: Sequence[str] = (),
) -> int:  # fmt: skip
    """Supersede a job, which is locked with its unit, by a new one; return the new job's id."""
    values = {"unit_id": unit.id, "digest": target.digest, "revision": revision}
    run = 1 + int(connection.execute(_LAST_RUN, values).scalar_one() or 0)
    hashes = connection.execute(_HASHES, {"unit_id": unit.id}).scalars().all()
    key = job_key(unit_name(unit), hashes, target.digest, run)
    connection.execute(_SUPERSEDE, {"id": job_id})
    shadow = end_shadow(connection, unit_id=unit.id, digest=target.digest, revision=revision)
    new = {"id": job_id, "key": key, "run": run, "version": target.version, "digest": target.digest, "added": list(added)}
    new_id = int(connection.execute(_ADD_JOB, new).scalar_one())
    connection.execute(_INPUTS, {"id": job_id, "new_id": new_id})
    connection.execute(_BY, {"id": job_id, "new_id": new_id})
    shadow.name_successor(connection, new_id, actor=actor)
    connection.execute(_WITHDRAW, {"id": job_id})
    outbox.add_wake_ups(connection, [new_id])
    asked: dict[str, object] = {"as": new_id} | ({"reason": reason, "version": target.version, "digest": target.digest} if reason else {})
    for name, subject, details in (
        ("job.superseded", job_id, {"by": new_id}),
        (action, job_id, asked),
        ("job.queued", new_id, {"unit": unit.id, "key": key, "run": run}),
    ):
        audit.record(connection, actor=actor, action=name, subject=f"job:{subject}", details=details)
    return new_id


def unit_name(unit: Any) -> str:
    """Return the name of a unit in job keys. ``unit`` has ``kind``, ``series_instance_uid`` and ``sop_instance_uid``."""
    return f"{unit.kind}:{unit.series_instance_uid}:{unit.sop_instance_uid}"
