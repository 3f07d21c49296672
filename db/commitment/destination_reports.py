"""Storage commitment reports of destinations (N-EVENT-REPORT): what they committed to, and what is sent again.

A report may come at any time and on any association, and counts once. Rows are locked in the order job, delivery.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from core.failpoints import failpoint
from core.states import DeliveryState
from db import audit
from db.commitment.destination_requests import END_REQUEST, OPEN_ITEMS, record_failed
from db.deliveries.job_completion import lock_jobs, mark_delivered_jobs
from db.engine import Database
from db.notify import notify

_OF_TRANSACTION = text("""
    SELECT id, destination FROM commitment_requests WHERE transaction_uid = :transaction_uid AND destination = ANY(:destinations)
""")
_ITEMS = text("""
    SELECT i.delivery_id, i.resends, d.job_id, r.sop_instance_uid
    FROM commitment_request_items i JOIN deliveries d ON d.id = i.delivery_id JOIN reports r ON r.id = d.report_id
    WHERE i.commitment_id = :id ORDER BY i.delivery_id
""")
_LOCK_DELIVERIES = text("""
    SELECT d.id, d.job_id, d.state, d.resends, d.commitment_id, j.state = 'superseded' AS superseded
    FROM deliveries d JOIN jobs j ON j.id = d.job_id WHERE d.id = ANY(:ids) ORDER BY d.id FOR NO KEY UPDATE OF d
""")
_COMMITTED = text("""
    UPDATE deliveries SET state = 'committed', committed_at = node_now(), changed_at = node_now(), note = '' WHERE id = :id
""")
_RESEND = text("""
    UPDATE deliveries SET state = :state, note = :note, resends = resends + 1, attempts = 0, commitment_id = NULL, stored_at = NULL,
        changed_at = node_now(), next_attempt_at = node_now() + make_interval(secs => :in_s)
    WHERE id = :id
""")
# Of a job that counted as delivered, because its destination was no longer asked for commitment.
_UNDELIVERED = text("""
    UPDATE jobs SET state = 'reported', delivered_at = NULL
    WHERE state = 'delivered' AND id IN (SELECT d.job_id FROM deliveries d WHERE d.id = ANY(:ids) AND d.state <> 'withdrawn')
""")


@dataclass(frozen=True, slots=True)
class ResendPolicy:
    """How an object that was not committed is sent again: after ``base_s``, then twice that ... up to ``cap_s``, ``limit`` times."""

    limit: int
    base_s: float
    cap_s: float

    def delay_s(self, resends: int) -> float:
        """Return the seconds until it is sent again that was sent again so often."""
        return min(self.cap_s, self.base_s * 2.0 ** min(resends, 30))


class ReportResult(StrEnum):
    """What became of an N-EVENT-REPORT."""

    TAKEN = "taken"
    UNKNOWN = "unknown"  # there is no such transaction with this destination


def record_report(
    database: Database, *, destinations: Sequence[str], transaction_uid: str, committed: Sequence[str], failed: Mapping[str, str],
    policy: ResendPolicy,
) -> ReportResult:  # fmt: skip
    """Record a report: the SOP Instance UIDs that are committed, and those that are not, with the reason.

    The same report twice is harmless. A late report on a request that was repeated counts, unless the object was sent again since. What
    the report does not mention stays open, and is requested again in time.
    """
    with database.begin() as connection:
        values = {"transaction_uid": transaction_uid, "destinations": list(destinations)}
        request = connection.execute(_OF_TRANSACTION, values).one_or_none()
        if request is None:
            return ReportResult.UNKNOWN
        items = {row.delivery_id: row for row in connection.execute(_ITEMS, {"id": request.id})}
        jobs = sorted({row.job_id for row in items.values()})
        lock_jobs(connection, jobs)
        committed_uids = frozenset(committed)
        done, resent = [], []
        for row in connection.execute(_LOCK_DELIVERIES, {"ids": list(items)}).all():
            item = items[row.id]
            if row.state != DeliveryState.STORED or row.resends != item.resends:
                continue
            if item.sop_instance_uid in committed_uids:
                connection.execute(_COMMITTED, {"id": row.id})
                done.append(row.id)
            elif item.sop_instance_uid in failed and row.commitment_id == request.id:
                _resend(connection, row, request.destination, failed[item.sop_instance_uid], policy)
                resent.append(row.id)
        if not connection.execute(OPEN_ITEMS, {"id": request.id}).all():
            connection.execute(END_REQUEST, {"id": request.id, "state": "answered"})
        details = {"destination": request.destination, "committed": done, "not_committed": resent}
        audit.record(connection, actor="sender", action="commitment.answered", subject=f"commitment:{request.id}", details=details)
        mark_delivered_jobs(connection, jobs)
        if resent:
            connection.execute(_UNDELIVERED, {"ids": resent})
            notify(connection, "delivery")
        failpoint("commit.reported")
    return ReportResult.TAKEN


def _resend(connection: Connection, row: Any, destination: str, reason: str, policy: ResendPolicy) -> None:
    """Send a delivery again that was not committed, or end it if it is superseded or was sent too often."""
    if row.superseded:
        state, note = DeliveryState.WITHDRAWN, f"not committed ({reason}), and superseded"
    elif row.resends >= policy.limit:
        state, note = DeliveryState.FAILED, f"stored, but not committed after {row.resends} resends: {reason}"
    else:
        state, note = DeliveryState.PENDING, f"sent again: stored, but not committed: {reason}"
    values = {"id": row.id, "state": state.value, "note": note, "in_s": policy.delay_s(row.resends)}
    connection.execute(_RESEND, values)
    if state is DeliveryState.FAILED:
        record_failed(connection, destination, row)
