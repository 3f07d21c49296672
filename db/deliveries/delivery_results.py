"""Ends the attempts of claimed deliveries: stored, to be retried, not tried, failed or held.

Every function raises LeaseLost, and writes nothing, if the lease has expired and another sender has the delivery. Sending the same object
twice is harmless.
"""

from sqlalchemy import text

from core.errors import LeaseLost
from core.failpoints import failpoint
from core.states import DeliveryState
from db import audit
from db.deliveries import delivery_order
from db.deliveries.delivery_leases import ClaimedDelivery
from db.deliveries.job_completion import lock_jobs, mark_delivered_jobs
from db.engine import Database

_LOCK = text("SELECT id FROM deliveries WHERE id = :id AND state = 'sending' AND token = CAST(:token AS uuid) FOR NO KEY UPDATE")
_SET = text("""
    UPDATE deliveries SET state = :state, status = :status, note = :note, sender = NULL, token = NULL, lease_until = NULL,
        changed_at = node_now(),
        attempts = attempts - CASE WHEN :tried THEN 0 ELSE 1 END,
        next_attempt_at = CASE WHEN :tried THEN node_now() + make_interval(secs => :in_s) ELSE next_attempt_at END,
        stored_at = CASE WHEN :state = 'stored' THEN node_now() ELSE stored_at END, commit_wanted = :commit, commitment_id = NULL
    WHERE id = :id
""")
_END_ATTEMPT = text("""
    UPDATE delivery_attempts SET result = :result, status = :status, note = :note, ended_at = node_now()
    WHERE token = CAST(:token AS uuid)
""")
_SUPERSEDED = text("SELECT state = 'superseded' FROM jobs WHERE id = :job_id")


def record_stored(database: Database, delivery: ClaimedDelivery, *, status: int, note: str = "", commit: bool = False) -> None:
    """Record that the destination has stored the object, with a ``status`` of success or warning.

    The job is delivered when its last delivery is done. With ``commit`` this delivery is done when the destination has committed to it
    (`db.commitment.destination_reports`).
    """
    _end(database, delivery, DeliveryState.STORED, "stored", status=status, note=note, commit=commit)


def retry_delivery_later(database: Database, delivery: ClaimedDelivery, *, error: str, in_s: float) -> None:
    """Record a transient error; the delivery is due again in ``in_s`` seconds."""
    _end(database, delivery, DeliveryState.PENDING, "retry", note=error, in_s=in_s)


def return_unsent(database: Database, delivery: ClaimedDelivery, *, why: str) -> None:
    """Give back a delivery that was not tried because the destination is unreachable.

    The attempt does not count, and the delivery keeps its place in the order.
    """
    _end(database, delivery, DeliveryState.PENDING, "retry", note=why, tried=False)


def fail_delivery(database: Database, delivery: ClaimedDelivery, *, error: str, status: int | None) -> None:
    """Record a permanent error; a person has to look."""
    _end(database, delivery, DeliveryState.FAILED, "failed", status=status, note=error)


def hold_delivery(database: Database, delivery: ClaimedDelivery, *, reason: str, status: int | None = None) -> None:
    """Hold a delivery: by a rule (a research model, a destination that is not configured), or because the destination has other content."""
    _end(database, delivery, DeliveryState.HELD, "held", status=status, note=reason)


def _end(
    database: Database, delivery: ClaimedDelivery, state: DeliveryState, result: str, *, status: int | None = None, note: str = "",
    in_s: float = 0.0, commit: bool = False, tried: bool = True,
) -> None:  # fmt: skip
    """End the lease and the attempt; set the state of the delivery, and that of the job if it is delivered."""
    with database.begin() as connection:
        lock_jobs(connection, [delivery.job_id])
        if connection.execute(_LOCK, {"id": delivery.id, "token": str(delivery.token)}).one_or_none() is None:
            message = f"delivery {delivery.id} is not leased to this attempt any more"
            raise LeaseLost(message, hint="nothing was written; another sender has it")
        if state is not DeliveryState.STORED and connection.execute(_SUPERSEDED, {"job_id": delivery.job_id}).scalar_one():
            state = DeliveryState.WITHDRAWN  # a newer result will be delivered: this one is not tried again
        values = {"id": delivery.id, "state": state.value, "status": status, "note": note, "in_s": in_s, "commit": commit, "tried": tried}
        connection.execute(_SET, values)
        connection.execute(_END_ATTEMPT, {"token": str(delivery.token), "result": result, "status": status, "note": note})
        if state is DeliveryState.PENDING and tried:
            delivery_order.postpone_naming_report(connection, delivery.id)
        details = {
            "destination": delivery.destination,
            "job": delivery.job_id,
            "sha256": delivery.sha256,
            "status": status,
            "attempt": delivery.attempt,
        }
        action = f"delivery.{'retried' if state is DeliveryState.PENDING else state.value}"
        audit.record(connection, actor="sender", action=action, subject=f"delivery:{delivery.id}", details=details)
        mark_delivered_jobs(connection, [delivery.job_id])
        failpoint("settle.written")
