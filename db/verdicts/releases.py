"""Releases results that wait for a verdict, once: their deliveries become pending. What is not released is held on, or ends if rejected."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from core.policy.verdicts import AMENDED_NOTE, WAITING_NOTE, VerdictRefused, rejected_note
from core.states import DeliveryState
from db import audit
from db.deliveries.job_completion import mark_delivered_jobs
from db.engine import Database
from db.notify import notify
from db.verdicts.result_state import LockedResult, lock_result

# Held, or ended by a rejection that a later verdict or a person takes back. Retention may have deleted the file of such a one.
_RELEASE = text("""
    UPDATE deliveries SET state = 'pending', awaiting_verdict = false, note = '', next_attempt_at = node_now(), changed_at = node_now()
    WHERE job_id = :job_id AND destination = ANY(:destinations) AND awaiting_verdict AND state IN ('held', 'given_up')
      AND NOT EXISTS (SELECT FROM reports r WHERE r.id = report_id AND r.removed_at IS NOT NULL)
    RETURNING id
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
_KEEP = text("""
    UPDATE deliveries SET state = :state, note = :note, changed_at = node_now()
    WHERE job_id = :job_id AND destination = ANY(:destinations) AND awaiting_verdict AND state IN ('held', 'given_up')
      AND (state <> :state OR note <> :note)
    RETURNING id
""")
# Of a job that counted as delivered, because what was rejected is done.
_UNFINISHED = text("UPDATE jobs SET state = 'reported', delivered_at = NULL WHERE id = :job_id AND state = 'delivered'")


def release_held(connection: Connection, job: Any, destinations: Sequence[str], *, actor: str, cause: str, reason: str = "") -> int:
    """Release a job's result to some of the destinations that wait for a verdict; return how many deliveries. The job is locked."""
    if not destinations:
        return 0
    values: dict[str, Any] = {"job_id": job.id, "destinations": list(destinations)}
    released = len(connection.execute(_RELEASE, values).all())
    connection.execute(_NO_LONGER_WAITING, values)
    if released:
        connection.execute(_UNFINISHED, values)
    connection.execute(_ADD, values | {"actor": actor, "cause": cause, "deliveries": released, "reason": reason})
    details = {"cause": cause, "destinations": list(destinations), "deliveries": released, "reason": reason}
    audit.record(connection, actor=actor, action="result.released", subject=f"job:{job.id}", details=details)
    notify(connection, "delivery")
    return released


def keep_unreleased(connection: Connection, result: LockedResult, destinations: Sequence[str], *, actor: str, user: str) -> None:
    """Hold a result on, or end its deliveries, at destinations to which the verdicts do not release it. The job is locked.

    Where every finding was rejected, no result is left to be read there and no action is needed: the deliveries count as
    done. A later verdict takes that back.
    """
    note = rejected_note(user) if result.rejected else AMENDED_NOTE if result.judged else WAITING_NOTE
    state = DeliveryState.GIVEN_UP if result.rejected else DeliveryState.HELD
    values = {"job_id": result.job.id, "destinations": list(destinations), "state": state.value, "note": note}
    changed = len(connection.execute(_KEEP, values).all()) if destinations else 0
    if not changed:
        return
    action = "result.given_up" if result.rejected else "result.held"
    details = {"destinations": list(destinations), "deliveries": changed}
    audit.record(connection, actor=actor, action=action, subject=f"job:{result.job.id}", details=details)
    if result.rejected:
        mark_delivered_jobs(connection, [result.job.id])
    else:
        connection.execute(_UNFINISHED, values)


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
