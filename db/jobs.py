"""Jobs under lease: claimed by compare-and-set, renewed, ended once. Old tokens write nothing."""

from typing import Any

from sqlalchemy import Connection, Row, text

from core.errors import LeaseLost
from core.records import UnitInput
from core.states import JobState, Priority, UnitKind
from db import audit, outbox
from db.base import Database
from db.desk import cancel, listing, requeue, show
from db.finishing import finish
from db.records import ClaimedJob

__all__ = ["cancel", "claim", "fail", "finish", "listing", "reap", "release", "renew", "requeue", "show"]

# A job whose unit has moved on is not claimed: it waits to be superseded.
_CLAIM = text("""
    UPDATE jobs SET state = 'running', token = gen_random_uuid(), worker = :worker, attempts = attempts + 1,
        lease_until = node_now() + make_interval(secs => :lease_s), started_at = node_now()
    WHERE id IN (
        SELECT j.id FROM jobs j JOIN units u ON u.id = j.unit_id AND u.revision = j.revision AND u.state = 'complete'
        WHERE j.state = 'queued' AND j.next_attempt_at <= (SELECT node_now())
          AND (CAST(:priorities AS text[]) IS NULL OR j.priority = ANY(:priorities))
          AND (CAST(:models AS text[]) IS NULL OR j.model = ANY(:models))
          AND (CAST(:job_id AS bigint) IS NULL OR j.id = :job_id)
        ORDER BY j.priority DESC, j.shadow, j.id LIMIT :limit FOR NO KEY UPDATE OF j SKIP LOCKED)
    RETURNING id
""")
_BEGIN_ATTEMPTS = text("""
    INSERT INTO attempts (job_id, number, worker, token)
    SELECT j.id, (SELECT count(*) + 1 FROM attempts a WHERE a.job_id = j.id), j.worker, j.token FROM jobs j WHERE j.id = ANY(:ids)
""")
_CLAIMED = text("""
    SELECT j.id, j.key, j.unit_id, u.kind, j.revision, j.run, j.attempts, j.token, j.model, j.pipeline_digest, j.priority,
           j.destinations, st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid, u.first_received_at, j.completed_at, j.shadow
    FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE j.id = ANY(:ids) ORDER BY j.priority DESC, j.shadow, j.id
""")
_INPUTS = text("""
    SELECT i.sop_instance_uid, i.sop_class_uid, i.sha256 FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id
    WHERE ji.job_id = :job_id ORDER BY i.id
""")
# The last report of the same model on the same unit that each destination has stored.
_PREDECESSORS = text("""
    SELECT DISTINCT ON (d.destination) d.destination, r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid
    FROM jobs me JOIN jobs j ON j.unit_id = me.unit_id AND j.model = me.model AND j.id <> me.id AND j.revision <= me.revision
    JOIN reports r ON r.job_id = j.id AND r.kind = 'sr'
    JOIN deliveries d ON d.report_id = r.id AND d.state IN ('stored', 'committed')
    WHERE me.id = :job_id ORDER BY d.destination, j.revision DESC, j.run DESC
""")
_RENEW = text("""
    UPDATE jobs SET lease_until = node_now() + make_interval(secs => :lease_s)
    WHERE id = :id AND state = 'running' AND token = CAST(:token AS uuid)
      AND revision = (SELECT u.revision FROM units u WHERE u.id = jobs.unit_id)
""")
_LOCK = text("SELECT attempts FROM jobs WHERE id = :id AND state = 'running' AND token = CAST(:token AS uuid) FOR NO KEY UPDATE")
_SET = text("""
    UPDATE jobs SET state = :state, reason = :reason, attempts = :attempts, worker = NULL, token = NULL, lease_until = NULL,
        next_attempt_at = node_now() + make_interval(secs => :retry_in_s)
    WHERE id = :id
""")
_END_ATTEMPT = text("UPDATE attempts SET result = :result, error = :error, ended_at = node_now() WHERE token = CAST(:token AS uuid)")
_EXPIRED = text("""
    SELECT id, token, attempts, worker FROM jobs WHERE state = 'running' AND lease_until < (SELECT node_now())
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
""")


def claim(
    database: Database, *, worker: str, priorities: tuple[Priority, ...] | None, models: tuple[str, ...] | None, lease_s: float,
    limit: int = 1, job_id: int | None = None,
) -> list[ClaimedJob]:  # fmt: skip
    """Lease up to ``limit`` due jobs, the urgent first, shadows last, then the oldest; each attempt is committed before its work.

    ``UnitInput.path`` is the place below the blob folder: ``Blobs.path(sha256)`` gives the whole one.
    """
    values = {
        "worker": worker,
        "priorities": None if priorities is None else [priority.value for priority in priorities],
        "models": None if models is None else list(models),
        "lease_s": lease_s,
        "limit": limit,
        "job_id": job_id,
    }
    with database.begin() as connection:
        ids = list(connection.execute(_CLAIM, values).scalars())
        if not ids:
            return []
        connection.execute(_BEGIN_ATTEMPTS, {"ids": ids})
        return [_claimed(connection, row) for row in connection.execute(_CLAIMED, {"ids": ids}).all()]


def _claimed(connection: Connection, row: Row[Any]) -> ClaimedJob:
    inputs = connection.execute(_INPUTS, {"job_id": row.id}).all()
    before = connection.execute(_PREDECESSORS, {"job_id": row.id}).all()
    return ClaimedJob(
        id=row.id,
        key=row.key,
        unit_id=row.unit_id,
        unit_kind=UnitKind(row.kind),
        revision=row.revision,
        run=row.run,
        attempt=row.attempts,
        token=row.token,
        model=row.model,
        pipeline_digest=row.pipeline_digest,
        priority=Priority(row.priority),
        destinations=tuple(row.destinations),
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        sop_instance_uid=row.sop_instance_uid,
        inputs=tuple(
            UnitInput(item.sop_instance_uid, item.sop_class_uid, item.sha256, f"{item.sha256[:2]}/{item.sha256[2:4]}/{item.sha256}")
            for item in inputs
        ),
        received_at=row.first_received_at,
        completed_at=row.completed_at,
        predecessors={item.destination: (item.sop_class_uid, item.sop_instance_uid, item.series_instance_uid) for item in before},
        shadow=row.shadow,
    )


def renew(database: Database, job: ClaimedJob, lease_s: float) -> bool:
    """The worker lives: ``lease_s`` from now. False when the job is no longer its own, or the unit has moved on: stop working."""
    with database.begin() as connection:
        return connection.execute(_RENEW, {"id": job.id, "token": str(job.token), "lease_s": lease_s}).rowcount == 1


def fail(database: Database, job: ClaimedJob, *, error: str, permanent: bool, retry_in_s: float, max_attempts: int) -> JobState:
    """End an attempt that failed: ``failed`` when repeating cannot help, ``quarantined`` when attempts are used up, else queued.

    Raises
    ------
    LeaseLost
        The job is not this worker's any more.
    """
    with database.begin() as connection:
        _own(connection, job)
        state = JobState.QUARANTINED if job.attempt >= max_attempts else JobState.QUEUED
        state = JobState.FAILED if permanent else state
        _end(connection, job.id, str(job.token), state, "failed", error, job.attempt, retry_in_s, actor=f"worker:{job.model}")
    return state


def release(database: Database, job: ClaimedJob) -> None:
    """Give a job back untouched (the worker drains); the attempt does not count.

    Raises
    ------
    LeaseLost
        The job is not this worker's any more.
    """
    with database.begin() as connection:
        _own(connection, job)
        _end(connection, job.id, str(job.token), JobState.QUEUED, "released", "", job.attempt - 1, 0.0, actor="worker")
        outbox.add(connection, [job.id])


def reap(database: Database, *, max_attempts: int) -> int:
    """Jobs whose worker is gone are queued again, or quarantined when attempts are used up; gives how many."""
    with database.begin() as connection:
        expired = connection.execute(_EXPIRED).all()
        again = []
        for row in expired:
            used_up = row.attempts >= max_attempts
            state = JobState.QUARANTINED if used_up else JobState.QUEUED
            error = f"the lease of {row.worker} ran out: it was killed, or hung"
            _end(connection, row.id, str(row.token), state, "lost", error, row.attempts, 0.0, actor="reaper")
            if not used_up:
                again.append(row.id)
        if again:
            outbox.add(connection, again)
    return len(expired)


def _own(connection: Connection, job: ClaimedJob) -> None:
    if connection.execute(_LOCK, {"id": job.id, "token": str(job.token)}).one_or_none() is None:
        raise LeaseLost(f"job {job.id} is not held by this attempt any more", hint="nothing was written; another worker has it")


def _end(
    connection: Connection, job_id: int, token: str, state: JobState, result: str, error: str, attempts: int, retry_in_s: float,
    *, actor: str,
) -> None:  # fmt: skip
    """Take the job off its worker, end the attempt, audit; the job is locked."""
    reason = error if state in (JobState.FAILED, JobState.QUARANTINED) else ""
    values = {"id": job_id, "state": state.value, "reason": reason, "attempts": attempts, "retry_in_s": retry_in_s}
    connection.execute(_SET, values)
    connection.execute(_END_ATTEMPT, {"token": token, "result": result, "error": error})
    details = {"result": result, "state": state.value, "attempts": attempts}
    audit.record(connection, actor=actor, action=f"job.{state.value}", subject=f"job:{job_id}", details=details)
