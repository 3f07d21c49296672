"""Releases results that wait for a verdict: their held deliveries become pending, once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from core.policy.verdicts import VerdictRefused
from db import audit
from db.engine import Database
from db.notify import notify
from db.verdicts.result_state import lock_result

_RELEASE = text("""
    UPDATE deliveries SET state = 'pending', awaiting_verdict = false, note = '', next_attempt_at = node_now(), changed_at = node_now()
    WHERE job_id = :job_id AND destination = ANY(:destinations) AND awaiting_verdict AND state = 'held' RETURNING id
""")
_NO_LONGER_WAITING = text("""
    UPDATE jobs SET awaiting_verdict = ARRAY(SELECT name FROM unnest(awaiting_verdict) WITH ORDINALITY AS waiting (name, place)
                                             WHERE NOT name = ANY(:destinations) ORDER BY place)
    WHERE id = :job_id
""")
_ADD = text("""
    INSERT INTO result_releases (job_id, actor, cause, destinations, deliveries, reason)
    VALUES (:job_id, :actor, :cause, :destinations, :deliveries, :reason)
""")


def release_held(connection: Connection, job: Any, destinations: Sequence[str], *, actor: str, cause: str, reason: str = "") -> int:
    """Release a job's result to some of the destinations that wait for a verdict; return how many deliveries. The job is locked."""
    if not destinations:
        return 0
    values: dict[str, Any] = {"job_id": job.id, "destinations": list(destinations)}
    released = len(connection.execute(_RELEASE, values).all())
    connection.execute(_NO_LONGER_WAITING, values)
    connection.execute(_ADD, values | {"actor": actor, "cause": cause, "deliveries": released, "reason": reason})
    details = {"cause": cause, "destinations": list(destinations), "deliveries": released, "reason": reason}
    audit.record(connection, actor=actor, action="result.released", subject=f"job:{job.id}", details=details)
    notify(connection, "delivery")
    return released


def release_result(database: Database, job_id: int, *, actor: str, cause: str, reason: str = "") -> int:
    """Release a result to every destination that waits for a verdict on it; return how many deliveries were held.

    Raises
    ------
    VerdictRefused
        There is no such result, a newer one has replaced it, or it does not wait for a verdict.
    """
    with database.begin() as connection:
        job = lock_result(connection, job_id).job
        if not job.awaiting_verdict:
            raise VerdictRefused(f"the result of job {job_id} does not wait for a verdict", hint="see its deliveries on the study page")
        return release_held(connection, job, job.awaiting_verdict, actor=actor, cause=cause, reason=reason)
