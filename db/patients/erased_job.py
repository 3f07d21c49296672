"""Deletes one analysis with everything that was made of it, in the caller's transaction."""

from sqlalchemy import Connection, text

from core.errors import NodeError
from db import counters
from db.blobs import removals
from db.patients.erasure_record import Erasure, keep_sent

_LOCK_JOB = text("SELECT id, state, failure_state FROM jobs WHERE id = :job FOR UPDATE")
_LOCK_DELIVERIES = text("SELECT id, state, commit_wanted FROM deliveries WHERE job_id = :job ORDER BY id FOR UPDATE")
_LOCK_ASSESSMENTS = text("SELECT id, state FROM assessments WHERE job_id = :job ORDER BY id FOR UPDATE")
_DELIVERY_ATTEMPTS = text("DELETE FROM delivery_attempts WHERE delivery_id IN (SELECT id FROM deliveries WHERE job_id = :job)")
_ITEMS = text("""
    DELETE FROM commitment_request_items WHERE delivery_id IN (SELECT id FROM deliveries WHERE job_id = :job) RETURNING commitment_id
""")
_DELIVERIES = text("DELETE FROM deliveries WHERE job_id = :job RETURNING destination, state, commitment_id")
# A request that was for these deliveries alone.
_REQUESTS = text("""
    DELETE FROM commitment_requests c WHERE id = ANY(CAST(:ids AS bigint[]))
    AND NOT EXISTS (SELECT FROM commitment_request_items i WHERE i.commitment_id = c.id)
    AND NOT EXISTS (SELECT FROM deliveries d WHERE d.commitment_id = c.id)
""")
_ASSESSMENTS = text("DELETE FROM assessments WHERE job_id = :job")
_VERDICTS = text("DELETE FROM verdicts WHERE job_id = :job")
_RELEASES = text("DELETE FROM result_releases WHERE job_id = :job")
_FILES = {
    "objects": text("DELETE FROM reports WHERE job_id = :job RETURNING sha256, size_bytes, removed_at"),
    "overlays": text("DELETE FROM result_overlays WHERE job_id = :job RETURNING sha256, size_bytes, removed_at"),
}
_FINDINGS = text("DELETE FROM findings WHERE job_id = :job")
_PARTS = [text(f"DELETE FROM {table} WHERE job_id = :job") for table in ("job_inputs", "attempts", "outbox")]
# As the earlier result of another one: that is of the same person, whose studies are deleted one after the other.
_PRIORS = text("DELETE FROM job_priors WHERE job_id = :job OR prior_job_id = :job")
_REPLACED = text("UPDATE jobs SET superseded_by = NULL WHERE superseded_by = :job")
_JOB = text("DELETE FROM jobs WHERE id = :job RETURNING state")


def erase_job(connection: Connection, erasure: Erasure, job: int, *, cancel: bool) -> dict[str, int]:
    """Delete a job whose unit is locked; return how many rows and files of each kind.

    Raises
    ------
    NodeError
        It runs or is being sent, or, without ``cancel``, it or a delivery of it waits. Nothing was deleted.
    """
    values = {"job": job}
    _check_is_idle(connection, job, cancel=cancel)
    keep_sent(connection, erasure, job)
    connection.execute(_DELIVERY_ATTEMPTS, values)
    requests = set(connection.execute(_ITEMS, values).scalars())
    deliveries = connection.execute(_DELIVERIES, values).all()
    requests |= {row.commitment_id for row in deliveries} - {None}
    connection.execute(_REQUESTS, {"ids": sorted(requests)})
    connection.execute(_ASSESSMENTS, values)  # before the verdicts that they name
    deleted = {
        "analyses": 1,
        "deliveries": len(deliveries),
        "verdicts": connection.execute(_VERDICTS, values).rowcount,
        "releases": connection.execute(_RELEASES, values).rowcount,
        "files": 0,
        "bytes": 0,
    }
    for what, statement in _FILES.items():
        rows = connection.execute(statement, values).all()
        kept = [(row.sha256, row.size_bytes) for row in rows if row.removed_at is None]
        removals.request_removals(connection, kept)
        deleted[what] = len(rows)
        deleted["files"] += len(kept)
        deleted["bytes"] += sum(size for _, size in kept)
    deleted["findings"] = connection.execute(_FINDINGS, values).rowcount
    for statement in (*_PARTS, _PRIORS, _REPLACED):
        connection.execute(statement, values)
    state = str(connection.execute(_JOB, values).scalar_one())
    gone = [("deliveries", (str(row.destination), str(row.state)), -1.0) for row in deliveries]
    counters.add(connection, [*gone, ("jobs", (state,), -1.0)])
    return deleted


def _check_is_idle(connection: Connection, job: int, *, cancel: bool) -> None:
    """Lock a job, its deliveries and assessments, and check that none is in work, and without ``cancel`` that none waits."""
    row = connection.execute(_LOCK_JOB, {"job": job}).one()
    deliveries = connection.execute(_LOCK_DELIVERIES, {"job": job}).all()
    assessments = {one.state for one in connection.execute(_LOCK_ASSESSMENTS, {"job": job})}
    if row.state == "running" or "encoding" in assessments or any(one.state == "sending" for one in deliveries):
        raise NodeError(f"analysis {job} runs, or is being sent", hint="wait until it has ended, then run the command again")
    waits = row.state == "queued" or row.failure_state is not None or "queued" in assessments
    waits = waits or any(one.state == "pending" or (one.state == "stored" and one.commit_wanted) for one in deliveries)
    if waits and not cancel:
        raise NodeError(f"analysis {job}, or a delivery of it, waits", hint="wait until it has ended, or add --cancel")
