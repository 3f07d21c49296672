"""Storage commitment requests of the node to destinations: created for several deliveries, sent, repeated, failed.

A request is a row before it is sent, so that another sender repeats it if this one is killed. Rows are locked in the order job, delivery.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, text

from core.states import DeliveryState
from db import audit
from db.deliveries.job_completion import lock_jobs, mark_delivered_jobs
from db.engine import Database

MAX_INSTANCES = 500  # of one request

_NOT_PAUSED = "NOT EXISTS (SELECT FROM pauses p WHERE p.kind = 'destination' AND p.name = :destination)"
_WITHOUT_REQUEST = text(f"""
    SELECT id, resends FROM deliveries
    WHERE destination = :destination AND state = 'stored' AND commit_wanted AND commitment_id IS NULL
      AND stored_at <= (SELECT node_now()) - make_interval(secs => :dwell_s) AND {_NOT_PAUSED}
    ORDER BY id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
_ADD = text("""
    INSERT INTO commitment_requests (destination, transaction_uid, attempts) VALUES (:destination, :transaction_uid, :attempts)
    RETURNING id
""")
_ADD_ITEMS = text("""
    INSERT INTO commitment_request_items (commitment_id, delivery_id, resends)
    SELECT :id, d.id, d.resends FROM deliveries d WHERE d.id = ANY(:deliveries)
""")
_ASSIGN = text("UPDATE deliveries SET commitment_id = :id WHERE id = ANY(:deliveries)")
_DUE = text(f"""
    SELECT id, transaction_uid, state, attempts FROM commitment_requests
    WHERE destination = :destination AND state IN ('waiting', 'requested') AND next_attempt_at <= (SELECT node_now())
      AND {_NOT_PAUSED}
    ORDER BY next_attempt_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
""")
OPEN_ITEMS = text("""
    SELECT d.id, d.job_id, r.sop_class_uid, r.sop_instance_uid FROM deliveries d JOIN reports r ON r.id = d.report_id
    WHERE d.commitment_id = :id AND d.state = 'stored' AND d.commit_wanted ORDER BY d.id
""")
_BEGIN = text("""
    UPDATE commitment_requests SET attempts = attempts + 1, next_attempt_at = node_now() + make_interval(secs => :lease_s) WHERE id = :id
""")
END_REQUEST = text("UPDATE commitment_requests SET state = :state, answered_at = node_now() WHERE id = :id")
_REQUESTED = text("""
    UPDATE commitment_requests SET state = 'requested', requested_at = node_now(), note = '',
        next_attempt_at = node_now() + make_interval(secs => :answer_s)
    WHERE id = :id AND state = 'waiting'
""")
_LATER = text("""
    UPDATE commitment_requests SET note = :note, attempts = attempts - CASE WHEN :counts THEN 0 ELSE 1 END,
        next_attempt_at = node_now() + make_interval(secs => :in_s)
    WHERE id = :id AND state = 'waiting'
""")
_NOTE = text("UPDATE deliveries SET note = :note WHERE commitment_id = :id AND state = 'stored'")
_FAIL = text("""
    UPDATE deliveries SET state = 'failed', note = :note, changed_at = node_now() WHERE id = ANY(:ids) AND state = 'stored'
""")
_NOT_WANTED = text("""
    SELECT id, job_id FROM deliveries WHERE state = 'stored' AND commit_wanted AND destination = ANY(:destinations) ORDER BY id
""")
_WITHOUT_DESTINATION = text("""
    SELECT id, job_id FROM deliveries WHERE state = 'stored' AND commit_wanted AND NOT destination = ANY(:destinations) ORDER BY id
""")
_HOLD = text("""
    UPDATE deliveries d SET state = CASE WHEN j.state = 'superseded' THEN d.state ELSE 'held' END, note = :note || d.destination || :advice,
        commit_wanted = false, commitment_id = NULL, changed_at = node_now()
    FROM jobs j WHERE j.id = d.job_id AND d.id = ANY(:ids) AND d.state = 'stored' AND d.commit_wanted RETURNING d.id, d.state
""")
_SET_NOT_WANTED = text("UPDATE deliveries SET commit_wanted = false, changed_at = node_now() WHERE id = ANY(:ids)")


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """An N-ACTION request that is to be sent."""

    id: int
    destination: str
    transaction_uid: str
    attempts: int  # requests for these instances so far, this one included
    instances: tuple[tuple[str, str], ...]  # (SOP Class UID, SOP Instance UID)


def create_request(database: Database, destination: str, *, dwell_s: float = 1.0) -> bool:
    """Create a request for stored deliveries that want commitment and are in no request; return False if there are none.

    Deliveries stored less than ``dwell_s`` ago wait, so that all objects of a job are in one request.
    """
    with database.begin() as connection:
        rows = connection.execute(_WITHOUT_REQUEST, {"destination": destination, "dwell_s": dwell_s, "limit": MAX_INSTANCES}).all()
        if not rows:
            return False
        _insert(connection, destination, [row.id for row in rows], attempts=0)
    return True


def _insert(connection: Connection, destination: str, deliveries: list[int], *, attempts: int) -> tuple[int, str]:
    """Insert a request for deliveries; return its id and Transaction UID."""
    transaction_uid = f"2.25.{uuid4().int}"  # random, not derived: a restored database must not use a UID again
    values = {"destination": destination, "transaction_uid": transaction_uid, "attempts": attempts}
    id = int(connection.execute(_ADD, values).scalar_one())
    connection.execute(_ADD_ITEMS, {"id": id, "deliveries": deliveries})
    connection.execute(_ASSIGN, {"id": id, "deliveries": deliveries})
    return id, transaction_uid


def claim_request(database: Database, destination: str, *, lease_s: float, max_attempts: int) -> CommitmentRequest | None:
    """Return the next request that is due, and lease it for ``lease_s``; None if there is none.

    A request that was not answered in time is replaced by a new one. After ``max_attempts`` its deliveries fail, and a person has to look.
    """
    with database.begin() as connection:
        due = connection.execute(_DUE, {"destination": destination}).one_or_none()
        if due is None:
            return None
        id, transaction_uid = int(due.id), str(due.transaction_uid)
        items = connection.execute(OPEN_ITEMS, {"id": id}).all()
        if not items:
            connection.execute(END_REQUEST, {"id": id, "state": "answered"})
            return None
        if due.attempts >= max_attempts:
            _fail(connection, id, destination, items, due.attempts)
            return None
        if due.state == "requested":
            # PS3.4 J.3.2.1 requires a unique Transaction UID, and the old request may still be answered.
            connection.execute(END_REQUEST, {"id": id, "state": "unanswered"})
            id, transaction_uid = _insert(connection, destination, [item.id for item in items], attempts=due.attempts)
        connection.execute(_BEGIN, {"id": id, "lease_s": lease_s})
        instances = tuple((item.sop_class_uid, item.sop_instance_uid) for item in items)
        return CommitmentRequest(id, destination, transaction_uid, due.attempts + 1, instances)


def _fail(connection: Connection, id: int, destination: str, items: Sequence[Any], attempts: int) -> None:
    """End a request after too many attempts, and fail its deliveries."""
    note = f"stored, but the destination did not answer {attempts} storage commitment requests"
    connection.execute(END_REQUEST, {"id": id, "state": "unanswered"})
    connection.execute(_FAIL, {"ids": [item.id for item in items], "note": note})
    details = {"destination": destination, "deliveries": [item.id for item in items], "asks": attempts}
    audit.record(connection, actor="sender", action="commitment.given_up", subject=f"commitment:{id}", details=details)
    for item in items:
        record_failed(connection, destination, item)


def record_failed(connection: Connection, destination: str, delivery: Any) -> None:
    """Record in the audit trail, from which the webhook is notified, that a delivery failed which the destination did not commit to."""
    details = {"destination": destination, "job": delivery.job_id}
    audit.record(connection, actor="sender", action="delivery.failed", subject=f"delivery:{delivery.id}", details=details)


def record_requested(database: Database, request: CommitmentRequest, *, answer_s: float) -> None:
    """Record that the destination accepted the request; without a report within ``answer_s`` it is repeated."""
    with database.begin() as connection:
        if connection.execute(_REQUESTED, {"id": request.id, "answer_s": answer_s}).rowcount:
            details = {"destination": request.destination, "instances": len(request.instances), "asks": request.attempts}
            audit.record(connection, actor="sender", action="commitment.asked", subject=f"commitment:{request.id}", details=details)


def retry_request_later(database: Database, request: CommitmentRequest, *, why: str, in_s: float, counts: bool) -> None:
    """Send a request that was not accepted again in ``in_s``. ``counts``: as an attempt; not if the destination was unreachable."""
    with database.begin() as connection:
        connection.execute(_LATER, {"id": request.id, "note": why, "in_s": in_s, "counts": counts})
        connection.execute(_NOTE, {"id": request.id, "note": f"stored; commitment waits: {why}"})


def stop_requesting(database: Database, destinations: Sequence[str]) -> int:
    """Mark what is stored at these destinations as done, because ``storage_commitment`` was switched off; return how many deliveries."""
    with database.begin() as connection:
        rows = connection.execute(_NOT_WANTED, {"destinations": list(destinations)}).all()
        if rows:
            jobs = sorted({row.job_id for row in rows})
            lock_jobs(connection, jobs)
            connection.execute(_SET_NOT_WANTED, {"ids": [row.id for row in rows]})
            mark_delivered_jobs(connection, jobs)
    return len(rows)


def hold_without_destination(database: Database, destinations: Sequence[str]) -> int:
    """Hold what is stored, and not committed, at destinations other than these, which are configured; return how many deliveries.

    Nobody would ask the others. Of a superseded result nothing is held: it is not sent again.
    """
    note, advice = "stored, but not committed, and no [[destinations]] is named '", "': configure it and retry, or give it up"
    with database.begin() as connection:
        rows = connection.execute(_WITHOUT_DESTINATION, {"destinations": list(destinations)}).all()
        if not rows:
            return 0
        lock_jobs(connection, sorted({row.job_id for row in rows}))
        changed = connection.execute(_HOLD, {"note": note, "advice": advice, "ids": [row.id for row in rows]}).all()
        held = sorted(row.id for row in changed if row.state == DeliveryState.HELD)
        for id in held:
            audit.record(connection, actor="sender", action="delivery.held", subject=f"delivery:{id}")
    return len(held)
