"""Storage commitment that we ask of destinations: requests in batches, their answers, and what is sent again.

A request is a row before it is sent, so that a sender that is killed attempts again; an answer may come at any time, on any
association, and is taken once. Rows are locked in the order job, delivery.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, text

from core.failpoints import failpoint
from core.states import DeliveryState
from db import audit
from db.deliveries.job_completion import close_jobs, lock_jobs
from db.engine import Database
from db.notify import notify

AT_ONCE = 500  # instances of one request

_LOOSE = text("""
    SELECT id, resends FROM deliveries
    WHERE destination = :destination AND state = 'stored' AND commit_wanted AND commitment_id IS NULL
      AND stored_at <= (SELECT node_now()) - make_interval(secs => :dwell_s)
    ORDER BY id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
_ADD = text("""
    INSERT INTO commitment_requests (destination, transaction_uid, attempts) VALUES (:destination, :transaction_uid, :attempts) RETURNING id
""")
_ADD_ITEMS = text("""
    INSERT INTO commitment_request_items (commitment_id, delivery_id, resends)
    SELECT :id, d.id, d.resends FROM deliveries d WHERE d.id = ANY(:deliveries)
""")
_JOIN = text("UPDATE deliveries SET commitment_id = :id WHERE id = ANY(:deliveries)")
_DUE = text("""
    SELECT id, transaction_uid, state, attempts FROM commitment_requests
    WHERE destination = :destination AND state IN ('waiting', 'requested') AND next_attempt_at <= (SELECT node_now())
    ORDER BY next_attempt_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
""")
_OPEN_ITEMS = text("""
    SELECT d.id, d.job_id, r.sop_class_uid, r.sop_instance_uid FROM deliveries d JOIN reports r ON r.id = d.report_id
    WHERE d.commitment_id = :id AND d.state = 'stored' AND d.commit_wanted ORDER BY d.id
""")
_BEGIN = text(
    "UPDATE commitment_requests SET attempts = attempts + 1, next_attempt_at = node_now() + make_interval(secs => :lease_s) WHERE id = :id"
)
_END = text("UPDATE commitment_requests SET state = :state, answered_at = node_now() WHERE id = :id")
_ASKED = text("""
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
_GIVE_UP = text("""
    UPDATE deliveries SET state = 'failed', note = :note, changed_at = node_now() WHERE id = ANY(:ids) AND state = 'stored'
""")
_OF_TRANSACTION = text("""
    SELECT id, destination FROM commitment_requests WHERE transaction_uid = :transaction_uid AND destination = ANY(:destinations)
""")
_ITEMS = text("""
    SELECT i.delivery_id, i.resends, d.job_id, r.sop_instance_uid
    FROM commitment_request_items i JOIN deliveries d ON d.id = i.delivery_id JOIN reports r ON r.id = d.report_id
    WHERE i.commitment_id = :id ORDER BY i.delivery_id
""")
_LOCK_DELIVERIES = text("""
    SELECT d.id, d.state, d.resends, d.commitment_id, j.state = 'superseded' AS superseded
    FROM deliveries d JOIN jobs j ON j.id = d.job_id WHERE d.id = ANY(:ids) ORDER BY d.id FOR NO KEY UPDATE OF d
""")
_COMMITTED = text("""
    UPDATE deliveries SET state = 'committed', committed_at = node_now(), changed_at = node_now(), note = '' WHERE id = :id
""")
_AGAIN = text("""
    UPDATE deliveries SET state = :state, note = :note, resends = resends + 1, attempts = 0, commitment_id = NULL,
        changed_at = node_now(), next_attempt_at = node_now() + make_interval(secs => :in_s)
    WHERE id = :id
""")
_UNWANTED = text("""
    SELECT id, job_id FROM deliveries WHERE state = 'stored' AND commit_wanted AND destination = ANY(:destinations) ORDER BY id
""")
_NO_LONGER = text("UPDATE deliveries SET commit_wanted = false WHERE id = ANY(:ids)")


@dataclass(frozen=True, slots=True)
class Request:
    """One N-ACTION to send. ``instances``: (SOP Class UID, SOP Instance UID)."""

    id: int
    destination: str
    transaction_uid: str
    asks: int  # this one included
    instances: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Resending:
    """How what is reported as not committed is sent again: after ``base_s``, then twice that ..., ``limit`` times."""

    limit: int
    base_s: float


class Reported(StrEnum):
    """What became of an N-EVENT-REPORT."""

    TAKEN = "taken"
    UNKNOWN = "unknown"  # no such transaction with this destination


def gather(database: Database, destination: str, *, dwell_s: float = 1.0) -> bool:
    """Make a request of what is stored, wants commitment and is part of none; ``dwell_s`` lets the rest of a job join it."""
    with database.begin() as connection:
        rows = connection.execute(_LOOSE, {"destination": destination, "dwell_s": dwell_s, "limit": AT_ONCE}).all()
        if not rows:
            return False
        _new(connection, destination, [row.id for row in rows], asks=0)
    return True


def _new(connection: Connection, destination: str, deliveries: list[int], *, asks: int) -> tuple[int, str]:
    transaction_uid = f"2.25.{uuid4().int}"  # drawn, not derived: it names a conversation, and a restored database must not repeat one
    id = int(connection.execute(_ADD, {"destination": destination, "transaction_uid": transaction_uid, "attempts": asks}).scalar_one())
    connection.execute(_ADD_ITEMS, {"id": id, "deliveries": deliveries})
    connection.execute(_JOIN, {"id": id, "deliveries": deliveries})
    return id, transaction_uid


def next_request(database: Database, destination: str, *, lease_s: float, max_asks: int) -> Request | None:
    """The next request to send; for ``lease_s`` nobody else gets it. One that was not answered in time becomes a new one.

    After ``max_asks`` its deliveries fail, and a person has to look.
    """
    with database.begin() as connection:
        due = connection.execute(_DUE, {"destination": destination}).one_or_none()
        if due is None:
            return None
        id, transaction_uid = int(due.id), str(due.transaction_uid)
        items = connection.execute(_OPEN_ITEMS, {"id": id}).all()
        if not items:
            connection.execute(_END, {"id": id, "state": "answered"})
            return None
        if due.attempts >= max_asks:
            _give_up(connection, id, destination, items, due.attempts)
            return None
        if due.state == "requested":
            # Under another UID: PS3.4 J.3.2.1 wants it unique, and the old one may still be answered.
            connection.execute(_END, {"id": id, "state": "unanswered"})
            id, transaction_uid = _new(connection, destination, [item.id for item in items], asks=due.attempts)
        connection.execute(_BEGIN, {"id": id, "lease_s": lease_s})
        instances = tuple((item.sop_class_uid, item.sop_instance_uid) for item in items)
        return Request(id, destination, transaction_uid, due.attempts + 1, instances)


def _give_up(connection: Connection, id: int, destination: str, items: Sequence[Any], asks: int) -> None:
    note = f"stored, but the destination was asked {asks} times to commit to it, without an answer"
    connection.execute(_END, {"id": id, "state": "unanswered"})
    connection.execute(_GIVE_UP, {"ids": [item.id for item in items], "note": note})
    details = {"destination": destination, "deliveries": [item.id for item in items], "asks": asks}
    audit.record(connection, actor="sender", action="commitment.given_up", subject=f"commitment:{id}", details=details)


def asked(database: Database, request: Request, *, answer_s: float) -> None:
    """The destination took the request; without an answer within ``answer_s`` it is asked again."""
    with database.begin() as connection:
        if connection.execute(_ASKED, {"id": request.id, "answer_s": answer_s}).rowcount:
            details = {"destination": request.destination, "instances": len(request.instances), "asks": request.asks}
            audit.record(connection, actor="sender", action="commitment.asked", subject=f"commitment:{request.id}", details=details)


def later(database: Database, request: Request, *, why: str, in_s: float, counts: bool) -> None:
    """The request was not taken: the same again in ``in_s``. ``counts``: as an ask; not where the destination was away."""
    with database.begin() as connection:
        connection.execute(_LATER, {"id": request.id, "note": why, "in_s": in_s, "counts": counts})
        connection.execute(_NOTE, {"id": request.id, "note": f"stored; commitment waits: {why}"})


def report(
    database: Database, *, destinations: Sequence[str], transaction_uid: str, committed: Sequence[str], failed: Mapping[str, str],
    resending: Resending,
) -> Reported:  # fmt: skip
    """Take an N-EVENT-REPORT: what is committed, and what is not (SOP Instance UID -> reason). Twice is harmless.

    A late answer to a request that was repeated counts, unless the object was sent again since. What the answer does not
    mention stays open, and is asked for again in time.
    """
    with database.begin() as connection:
        values = {"transaction_uid": transaction_uid, "destinations": list(destinations)}
        commitment = connection.execute(_OF_TRANSACTION, values).one_or_none()
        if commitment is None:
            return Reported.UNKNOWN
        items = {row.delivery_id: row for row in connection.execute(_ITEMS, {"id": commitment.id})}
        jobs = sorted({row.job_id for row in items.values()})
        lock_jobs(connection, jobs)
        safe = frozenset(committed)
        done, again = [], []
        for row in connection.execute(_LOCK_DELIVERIES, {"ids": list(items)}).all():
            item = items[row.id]
            if row.state != DeliveryState.STORED or row.resends != item.resends:
                continue
            if item.sop_instance_uid in safe:
                connection.execute(_COMMITTED, {"id": row.id})
                done.append(row.id)
            elif item.sop_instance_uid in failed and row.commitment_id == commitment.id:
                _resend(connection, row, failed[item.sop_instance_uid], resending)
                again.append(row.id)
        if not connection.execute(_OPEN_ITEMS, {"id": commitment.id}).all():
            connection.execute(_END, {"id": commitment.id, "state": "answered"})
        details = {"destination": commitment.destination, "committed": done, "not_committed": again}
        audit.record(connection, actor="sender", action="commitment.answered", subject=f"commitment:{commitment.id}", details=details)
        close_jobs(connection, jobs)
        if again:
            notify(connection, "delivery")
        failpoint("commit.reported")
    return Reported.TAKEN


def _resend(connection: Connection, row: Any, reason: str, resending: Resending) -> None:
    if row.superseded:
        state, note = DeliveryState.WITHDRAWN, f"not committed ({reason}), and superseded"
    elif row.resends >= resending.limit:
        state, note = DeliveryState.FAILED, f"stored, but not committed after {row.resends} resends: {reason}"
    else:
        state, note = DeliveryState.PENDING, f"sent again: stored, but not committed: {reason}"
    values = {"id": row.id, "state": state.value, "note": note, "in_s": resending.base_s * 2**row.resends}
    connection.execute(_AGAIN, values)


def no_longer_wanted(database: Database, destinations: Sequence[str]) -> int:
    """``storage_commitment`` was switched off for these: what is stored there is done. Gives how many."""
    with database.begin() as connection:
        rows = connection.execute(_UNWANTED, {"destinations": list(destinations)}).all()
        if rows:
            jobs = sorted({row.job_id for row in rows})
            lock_jobs(connection, jobs)
            connection.execute(_NO_LONGER, {"ids": [row.id for row in rows]})
            close_jobs(connection, jobs)
    return len(rows)
