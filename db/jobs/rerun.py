"""Runs a job again whose report says that it was not analysed: as a new job, which supersedes the first."""

from typing import Any

from sqlalchemy import Connection, text

from core.uids import job_key
from db import audit
from db.jobs import outbox

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
                        AND o.id <> j.id AND o.state NOT IN ('cancelled', 'superseded'))
    WHERE j.id = :id AND j.state IN ('failed', 'quarantined') AND j.outcome IS NOT NULL
    FOR NO KEY UPDATE OF j
""")
_HASHES = text("SELECT sha256 FROM instances WHERE unit_id = :unit_id AND state = 'current'")
_LAST_RUN = text("""
    SELECT max(run) FROM jobs WHERE unit_id = :unit_id AND pipeline_digest = :digest AND revision = :revision
""")
_SUPERSEDE = text("UPDATE jobs SET state = 'superseded', failure_state = NULL WHERE id = :id")
_ADD_JOB = text("""
    INSERT INTO jobs (key, unit_id, revision, run, model, model_version, pipeline_digest, routes, destinations, priority, shadow,
                      awaiting_verdict, evidence, completed_at)
    SELECT :key, unit_id, revision, :run, model, :version, :digest, routes, destinations, priority, shadow,
           -- the new result waits again where the first one did, released or not
           ARRAY(SELECT unnest(awaiting_verdict) UNION SELECT unnest(r.destinations) FROM result_releases r WHERE r.job_id = jobs.id),
           evidence, completed_at
    FROM jobs WHERE id = :id RETURNING id
""")
_INPUTS = text("INSERT INTO job_inputs (job_id, instance_id) SELECT :new_id, instance_id FROM job_inputs WHERE job_id = :id")
_BY = text("UPDATE jobs SET superseded_by = :new_id WHERE id = :id")
_WITHDRAW = text("""
    UPDATE deliveries SET state = 'withdrawn', note = 'superseded before it was delivered', changed_at = node_now()
    WHERE job_id = :id AND state IN ('pending', 'held')
""")


def rerun_job(connection: Connection, job_id: int, actor: str) -> int | None:
    """Queue a new job with the next run number; return its id. None if the job is in another state, or its unit has a newer revision.

    Result UIDs depend on the run number, so that the new report is another object, which names the first one as its predecessor.
    """
    unit = connection.execute(_UNIT, {"id": job_id}).one_or_none()
    old = connection.execute(_LOCK, {"id": job_id}).one_or_none()
    if unit is None or old is None:
        return None
    values = {"unit_id": unit.id, "digest": old.digest, "revision": old.revision}
    run = 1 + int(connection.execute(_LAST_RUN, values).scalar_one() or 0)
    hashes = connection.execute(_HASHES, {"unit_id": unit.id}).scalars().all()
    key = job_key(unit_name(unit), hashes, old.digest, run)
    connection.execute(_SUPERSEDE, {"id": job_id})
    new = {"id": job_id, "key": key, "run": run, "version": old.version, "digest": old.digest}
    new_id = int(connection.execute(_ADD_JOB, new).scalar_one())
    connection.execute(_INPUTS, {"id": job_id, "new_id": new_id})
    connection.execute(_BY, {"id": job_id, "new_id": new_id})
    connection.execute(_WITHDRAW, {"id": job_id})
    outbox.add_wake_ups(connection, [new_id])
    for action, subject, details in (
        ("job.superseded", job_id, {"by": new_id}),
        ("job.requeued", job_id, {"as": new_id}),
        ("job.queued", new_id, {"unit": unit.id, "key": key, "run": run}),
    ):
        audit.record(connection, actor=actor, action=action, subject=f"job:{subject}", details=details)
    return new_id


def unit_name(unit: Any) -> str:
    """Return the name of a unit in job keys. ``unit`` has ``kind``, ``series_instance_uid`` and ``sop_instance_uid``."""
    return f"{unit.kind}:{unit.series_instance_uid}:{unit.sop_instance_uid}"
