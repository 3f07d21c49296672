"""What a person does with jobs: show, queue again, cancel. They are listed by `db.listings.jobs`."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import text

from core.errors import ConfigurationError
from db import audit
from db.engine import Database
from db.jobs import outbox
from db.jobs.prior_results import left_out_to_json
from db.jobs.rerun import rerun_failed_job
from db.row_values import row_to_json

_SHOW = text("SELECT * FROM v_jobs WHERE job_id = :id")
_PARTS = {
    "attempts_made": text(
        "SELECT number, kind, worker, started_at, ended_at, result, error FROM attempts WHERE job_id = :id ORDER BY id",
    ),
    "deliveries": text("SELECT * FROM v_deliveries WHERE job_id = :id ORDER BY delivery_id"),
    "findings": text("SELECT * FROM findings WHERE job_id = :id ORDER BY ordinal"),
    "reports": text("""
        SELECT kind, profile, sop_class_uid, sop_instance_uid, series_instance_uid, sha256, size_bytes, problems, created_at, removed_at
        FROM reports WHERE job_id = :id ORDER BY id
    """),
    "images": text("""
        SELECT i.sop_instance_uid, i.sha256, i.notes, i.removed_at FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id
        WHERE ji.job_id = :id ORDER BY i.id
    """),
}
_RESULT = text("SELECT identity AS model_identity, looked_for, probabilities, notes, prior_rule FROM jobs WHERE id = :id")
_REQUEUE = text("""
    UPDATE jobs SET state = 'queued', reason = '', attempts = 0, next_attempt_at = node_now(), queued_at = node_now(), failure_state = NULL
    WHERE id = ANY(:ids) AND state IN ('failed', 'quarantined', 'cancelled') AND outcome IS NULL
      AND revision = (SELECT u.revision FROM units u WHERE u.id = jobs.unit_id)
      AND NOT EXISTS (SELECT FROM jobs o WHERE o.unit_id = jobs.unit_id AND o.revision = jobs.revision AND o.id <> jobs.id
                      AND o.pipeline_digest = jobs.pipeline_digest AND o.state NOT IN ('cancelled', 'superseded'))
    RETURNING id
""")
_CANCEL = text("""
    UPDATE jobs SET state = 'cancelled', reason = :reason, worker = NULL, token = NULL, lease_until = NULL, failure_state = NULL
    WHERE id = :id AND state IN ('queued', 'running', 'failed', 'quarantined') AND outcome IS NULL
""")
_END_ATTEMPTS = text("UPDATE attempts SET result = 'cancelled', ended_at = node_now() WHERE job_id = :id AND ended_at IS NULL")


def show_job(database: Database, id: int) -> dict[str, Any]:
    """Return everything that is known of a job: row, attempts, deliveries, findings, objects, images, and what a comparison left out.

    Raises
    ------
    ConfigurationError
        There is no job with this id.
    """
    with database.begin() as connection:
        row = connection.execute(_SHOW, {"id": id}).one_or_none()
        if row is None:
            raise ConfigurationError(f"there is no job {id}", hint="dicom-node jobs list")
        found = row_to_json(row) | row_to_json(connection.execute(_RESULT, {"id": id}).one())
        found["priors_left_out"] = left_out_to_json(found.pop("prior_rule"))
        for name, query in _PARTS.items():
            found[name] = [row_to_json(part) for part in connection.execute(query, {"id": id})]
    return found


def requeue_jobs(database: Database, ids: Iterable[int], actor: str) -> list[int]:
    """Queue failed, quarantined and cancelled jobs of current revisions again; return the ids of those that were queued.

    Their attempts are counted from 0. A job whose report already says that it was not analysed runs again as a new job, which supersedes
    it (`db.jobs.rerun`).
    """
    wanted = sorted(set(ids))
    with database.begin() as connection:
        done = sorted(connection.execute(_REQUEUE, {"ids": wanted}).scalars())
        if done:
            outbox.add_wake_ups(connection, done)
        for id in done:
            audit.record(connection, actor=actor, action="job.requeued", subject=f"job:{id}")
    for id in wanted:
        with database.begin() as connection:  # one transaction each: the unit is locked before the job
            if id not in done and rerun_failed_job(connection, id, actor) is not None:
                done.append(id)
    return sorted(done)


def cancel_job(database: Database, id: int, actor: str) -> bool:
    """Cancel a job that has no result; a running one loses its lease. Returns False if it cannot be cancelled."""
    with database.begin() as connection:
        done = connection.execute(_CANCEL, {"id": id, "reason": f"cancelled by {actor}"}).rowcount == 1
        if done:
            connection.execute(_END_ATTEMPTS, {"id": id})
            audit.record(connection, actor=actor, action="job.cancelled", subject=f"job:{id}")
    return done
