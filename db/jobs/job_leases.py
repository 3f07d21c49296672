"""Leases of jobs: renewed by the worker, ended by failure or release, or expired and reaped. An old token writes nothing."""

from sqlalchemy import Connection, text

from core.errors import LeaseLost
from core.failpoints import failpoint
from core.states import JobState
from db import audit
from db.engine import Database
from db.jobs import not_analysed, outbox
from db.jobs.job_records import ClaimedJob
from db.jobs.prior_choice import forget_prior_results
from db.row_values import clean_text

LOST = "the program was killed, or hung, in the middle of its work"

_RENEW = text("""
    UPDATE jobs SET lease_until = node_now() + make_interval(secs => :lease_s)
    WHERE id = :id AND state = 'running' AND token = CAST(:token AS uuid)
      AND revision = (SELECT u.revision FROM units u WHERE u.id = jobs.unit_id)
""")
_LOCK = text("SELECT attempts FROM jobs WHERE id = :id AND state = 'running' AND token = CAST(:token AS uuid) FOR NO KEY UPDATE")
_SET = text("""
    UPDATE jobs SET state = :state, reason = :reason, attempts = :attempts, worker = NULL, token = NULL, lease_until = NULL,
        next_attempt_at = coalesce(node_now() + make_interval(secs => :retry_in_s), next_attempt_at)
    WHERE id = :id
""")
_END_ATTEMPT = text("UPDATE attempts SET result = :result, error = :error, ended_at = node_now() WHERE token = CAST(:token AS uuid)")
_EXPIRED = text("""
    SELECT id, token, attempts, failure_state, not_analysed_attempts FROM jobs
    WHERE state = 'running' AND lease_until < (SELECT node_now()) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
""")


def renew_job(database: Database, job: ClaimedJob, lease_s: float) -> bool:
    """Renew the lease for ``lease_s`` from now.

    Returns False if the lease was lost, or the unit has a newer revision: the worker must stop.
    """
    with database.begin() as connection:
        return connection.execute(_RENEW, {"id": job.id, "token": str(job.token), "lease_s": lease_s}).rowcount == 1


def fail_job(database: Database, job: ClaimedJob, *, error: str, permanent: bool, retry_in_s: float, max_attempts: int) -> JobState:
    """End a failed attempt; return the job's state: ``failed`` after a permanent error, ``quarantined`` after the last attempt, or queued.

    A job that ends failed or quarantined gets a report that says why. A failed attempt to make that report ends here too, and leaves the
    state unchanged.

    Raises
    ------
    LeaseLost
        The job is not leased to this worker any more.
    """
    error = clean_text(error)
    with database.begin() as connection:
        _lock(connection, job)
        if job.failure_state is not None:
            not_analysed.end_with_failure(connection, job.id, job.not_analysed_attempts, error=error, permanent=permanent, in_s=retry_in_s)
            _end_attempt(connection, str(job.token), "failed", error)
            return job.failure_state
        state = JobState.QUARANTINED if job.attempt >= max_attempts else JobState.QUEUED
        state = JobState.FAILED if permanent else state
        _end(connection, job.id, str(job.token), state, "failed", error, job.attempt, retry_in_s, actor=f"worker:{job.model}")
    return state


def postpone_job(database: Database, job: ClaimedJob, *, error: str, retry_in_s: float) -> None:
    """End an attempt that the input did not cause to fail; the job is queued again, and the attempt does not count.

    Raises
    ------
    LeaseLost
        The job is not leased to this worker any more.
    """
    with database.begin() as connection:
        _lock(connection, job)
        ended = (connection, job.id, str(job.token), JobState.QUEUED, "failed", clean_text(error), job.attempt - 1, retry_in_s)
        _end(*ended, actor=f"worker:{job.model}")


def release_job(database: Database, job: ClaimedJob) -> None:
    """Give a job back untouched, because the worker stops; the attempt does not count, nor does what a first one has chosen.

    Raises
    ------
    LeaseLost
        The job is not leased to this worker any more.
    """
    with database.begin() as connection:
        _lock(connection, job)
        if job.failure_state is None:
            _end(connection, job.id, str(job.token), JobState.QUEUED, "released", "", job.attempt - 1, None, actor="worker")
            if job.attempt <= 1:
                forget_prior_results(connection, job.id)
        else:
            not_analysed.end_without_report(connection, job.id, uncounted=1)
            _end_attempt(connection, str(job.token), "released", "")
        outbox.add_wake_ups(connection, [job.id])


def reap_jobs(database: Database, *, max_attempts: int, retry_base_s: float = 0.0) -> int:
    """Queue jobs whose lease has expired again, or quarantine them after the last attempt; return how many.

    A job that is lost once keeps its place in the queue. A job that is lost again may be what kills its workers: it waits
    ``retry_base_s``, then twice that and so on, and goes behind the other jobs.
    """
    with database.begin() as connection:
        expired = connection.execute(_EXPIRED).all()
        wake = []
        for row in expired:
            tries = row.attempts if row.failure_state is None else row.not_analysed_attempts
            wait_s = None if tries <= 1 else retry_base_s * 2 ** (tries - 2)
            if row.failure_state is not None:
                not_analysed.end_with_failure(connection, row.id, tries, error=LOST, permanent=True, in_s=wait_s or 0.0)
                _end_attempt(connection, str(row.token), "lost", LOST)
                wake += [] if wait_s else [row.id]
                continue
            used_up = row.attempts >= max_attempts
            state = JobState.QUARANTINED if used_up else JobState.QUEUED
            _end(connection, row.id, str(row.token), state, "lost", LOST, row.attempts, wait_s, actor="reaper")
            if not used_up and not wait_s:  # a job that waits gets its wake-up when it is due
                wake.append(row.id)
        if wake:
            outbox.add_wake_ups(connection, wake)
        if expired:
            failpoint("reap.written")
    return len(expired)


def _lock(connection: Connection, job: ClaimedJob) -> None:
    """Lock the row of a job that this attempt holds."""
    if connection.execute(_LOCK, {"id": job.id, "token": str(job.token)}).one_or_none() is None:
        raise LeaseLost(f"job {job.id} is not leased to this attempt any more", hint="nothing was written; another worker has it")


def _end(
    connection: Connection, job_id: int, token: str, state: JobState, result: str, error: str, attempts: int, retry_in_s: float | None,
    *, actor: str,
) -> None:  # fmt: skip
    """End the lease and the attempt of a locked job, and have the report made if the job fails permanently.

    ``retry_in_s`` None: the job keeps its place in the queue.
    """
    fails = state in (JobState.FAILED, JobState.QUARANTINED)
    reason = error if fails else ""
    values = {"id": job_id, "state": state.value, "reason": reason, "attempts": attempts, "retry_in_s": retry_in_s}
    connection.execute(_SET, values)
    if fails:
        not_analysed.require_report(connection, job_id)
    _end_attempt(connection, token, result, error)
    details = {"result": result, "state": state.value, "attempts": attempts}
    audit.record(connection, actor=actor, action=f"job.{state.value}", subject=f"job:{job_id}", details=details)


def _end_attempt(connection: Connection, token: str, result: str, error: str) -> None:
    connection.execute(_END_ATTEMPT, {"token": token, "result": result, "error": error})
