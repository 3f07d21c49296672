"""Jobs under lease: claimed by compare-and-set, renewed, ended once. Old tokens write nothing."""

from sqlalchemy import Connection, text

from core.errors import LeaseLost
from core.failpoints import failpoint
from core.states import JobState
from db import audit
from db.engine import Database
from db.jobs import not_analysed, outbox
from db.jobs.claim import claim, claim_company, claim_unexplained
from db.jobs.finish import finish
from db.jobs.job_admin import cancel, listing, requeue, show
from db.records import ClaimedJob
from db.row_values import clean

__all__ = ["cancel", "claim", "claim_company", "claim_unexplained", "fail", "finish", "listing"]
__all__ += ["reap", "release", "renew", "requeue", "show"]

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
    SELECT id, token, attempts, failure_state, not_analysed_attempts FROM jobs WHERE state = 'running' AND lease_until < (SELECT node_now())
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
""")


def renew(database: Database, job: ClaimedJob, lease_s: float) -> bool:
    """The worker lives: ``lease_s`` from now. False when the job is no longer its own, or the unit has moved on: stop working."""
    with database.begin() as connection:
        return connection.execute(_RENEW, {"id": job.id, "token": str(job.token), "lease_s": lease_s}).rowcount == 1


def fail(database: Database, job: ClaimedJob, *, error: str, permanent: bool, retry_in_s: float, max_attempts: int) -> JobState:
    """End an attempt that failed: ``failed`` when repeating cannot help, ``quarantined`` when attempts are used up, else queued.

    A job that is given up so owes a report that says why; an attempt to make that report ends here too, and leaves the state.

    Raises
    ------
    LeaseLost
        The job is not this worker's any more.
    """
    error = clean(error)
    with database.begin() as connection:
        _own(connection, job)
        if job.failure_state is not None:
            not_analysed.failed(connection, job.id, job.not_analysed_attempts, error=error, permanent=permanent, in_s=retry_in_s)
            _end_attempt(connection, str(job.token), "failed", error)
            return job.failure_state
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
        if job.failure_state is None:
            _end(connection, job.id, str(job.token), JobState.QUEUED, "released", "", job.attempt - 1, None, actor="worker")
        else:
            not_analysed.put_back(connection, job.id, uncounted=1)
            _end_attempt(connection, str(job.token), "released", "")
        outbox.add(connection, [job.id])


def reap(database: Database, *, max_attempts: int, retry_base_s: float = 0.0) -> int:
    """Jobs whose worker is gone are queued again, or quarantined when attempts are used up; gives how many.

    Being lost once is nobody's fault, and the job keeps its place. One that is lost again may be what kills its workers: it waits
    ``retry_base_s``, then twice that ..., and stands behind its neighbours.
    """
    with database.begin() as connection:
        expired = connection.execute(_EXPIRED).all()
        again = []
        for row in expired:
            error = LOST
            tries = row.attempts if row.failure_state is None else row.not_analysed_attempts
            wait_s = None if tries <= 1 else retry_base_s * 2 ** (tries - 2)
            if row.failure_state is not None:
                not_analysed.failed(connection, row.id, tries, error=error, permanent=True, in_s=wait_s or 0.0)
                _end_attempt(connection, str(row.token), "lost", error)
                again += [] if wait_s else [row.id]
                continue
            used_up = row.attempts >= max_attempts
            state = JobState.QUARANTINED if used_up else JobState.QUEUED
            _end(connection, row.id, str(row.token), state, "lost", error, row.attempts, wait_s, actor="reaper")
            if not used_up and not wait_s:  # who waits is woken for when it is due
                again.append(row.id)
        if again:
            outbox.add(connection, again)
        if expired:
            failpoint("reap.written")
    return len(expired)


def _own(connection: Connection, job: ClaimedJob) -> None:
    if connection.execute(_LOCK, {"id": job.id, "token": str(job.token)}).one_or_none() is None:
        raise LeaseLost(f"job {job.id} is not held by this attempt any more", hint="nothing was written; another worker has it")


def _end(
    connection: Connection, job_id: int, token: str, state: JobState, result: str, error: str, attempts: int, retry_in_s: float | None,
    *, actor: str,
) -> None:  # fmt: skip
    """Take the job off its worker, end the attempt, audit; the job is locked. Who gives up owes a report that says why.

    ``retry_in_s`` None: it keeps its place in the queue.
    """
    given_up = state in (JobState.FAILED, JobState.QUARANTINED)
    reason = error if given_up else ""
    values = {"id": job_id, "state": state.value, "reason": reason, "attempts": attempts, "retry_in_s": retry_in_s}
    connection.execute(_SET, values)
    if given_up:
        not_analysed.owe(connection, job_id)
    _end_attempt(connection, token, result, error)
    details = {"result": result, "state": state.value, "attempts": attempts}
    audit.record(connection, actor=actor, action=f"job.{state.value}", subject=f"job:{job_id}", details=details)


def _end_attempt(connection: Connection, token: str, result: str, error: str) -> None:
    connection.execute(_END_ATTEMPT, {"token": token, "result": result, "error": error})
