"""Leases of deliveries: claimed by a sender, renewed, reaped when they expire. The order is that of `db.deliveries.delivery_order`."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from db.deliveries import delivery_order
from db.engine import Database
from db.notify import notify
from db.operations.pauses import DELIVERY_NOT_PAUSED

LOST_BASE_S, LOST_CAP_S = 5.0, 900.0
ANY_SIZE = (1 << 63) - 1

# As in db/jobs/claim.py, the inner query is executed once. It locks the first :limit deliveries, and claims those that fit.
_CLAIM = text(f"""
    UPDATE deliveries SET state = 'sending', token = gen_random_uuid(), sender = :sender, attempts = attempts + 1,
        lease_until = node_now() + make_interval(secs => :lease_s), changed_at = node_now()
    WHERE id = ANY(ARRAY(
        SELECT sized.id FROM (
            SELECT due.id, r.size_bytes, sum(r.size_bytes) OVER (ORDER BY due.priority DESC, due.next_attempt_at, due.id) AS total FROM (
                SELECT d.id, d.report_id, d.priority, d.next_attempt_at FROM deliveries d
                WHERE d.state = 'pending' AND next_attempt_at <= (SELECT node_now())
                  AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = d.job_id AND j.state = 'superseded')
                  AND (CAST(:destinations AS text[]) IS NULL OR destination = ANY(:destinations))
                  AND {DELIVERY_NOT_PAUSED}
                  AND NOT {delivery_order.MUST_WAIT}
                ORDER BY d.priority DESC, d.next_attempt_at, d.id LIMIT :limit FOR NO KEY UPDATE OF d SKIP LOCKED
            ) AS due JOIN reports r ON r.id = due.report_id
        ) AS sized WHERE sized.total <= :max_bytes OR sized.total = sized.size_bytes))
    RETURNING id
""")
_BEGIN_ATTEMPTS = text("""
    INSERT INTO delivery_attempts (delivery_id, number, sender, token)
    SELECT d.id, (SELECT count(*) + 1 FROM delivery_attempts a WHERE a.delivery_id = d.id), d.sender, d.token
    FROM deliveries d WHERE d.id = ANY(:ids)
""")
_CLAIMED = text("""
    SELECT d.id, d.token, d.attempts AS attempt, d.destination, d.job_id, r.kind, r.sop_class_uid, r.sop_instance_uid, r.sha256,
           greatest(0, extract(epoch FROM node_now() - d.created_at))::float8 AS age_s,
           coalesce(j.identity ->> 'status' = 'research', false) AS research
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id
    WHERE d.id = ANY(:ids) ORDER BY d.priority DESC, d.next_attempt_at, d.job_id, d.id
""")
_RENEW = text("""
    UPDATE deliveries SET lease_until = node_now() + make_interval(secs => :lease_s)
    WHERE state = 'sending' AND token = ANY(CAST(:tokens AS uuid[]))
""")
_EXPIRED = text("""
    UPDATE deliveries SET state = 'pending', sender = NULL, token = NULL, lease_until = NULL, changed_at = node_now(),
        next_attempt_at = node_now() + make_interval(secs => CASE WHEN old.lost = 0 THEN 0 ELSE
            least(:cap_s, :base_s * 2 ^ least(old.lost - 1, 20)) * (1 + (old.id % 8) / 8.0) END), note = 'the sender was lost'
    FROM (SELECT d.id, d.token,
                 (SELECT count(*) FROM delivery_attempts a WHERE a.delivery_id = d.id AND a.result = 'lost') AS lost
          FROM deliveries d WHERE d.state = 'sending' AND d.lease_until < (SELECT node_now())
          ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED) AS old
    WHERE deliveries.id = old.id RETURNING old.token
""")
_LOST = text("""
    UPDATE delivery_attempts SET result = 'lost', ended_at = node_now() WHERE token = ANY(CAST(:tokens AS uuid[]))
""")
# Deliveries that became pending again at the moment when their job was superseded, and failed ones: neither can be sent again.
_WITHDRAW_SUPERSEDED = text("""
    UPDATE deliveries d SET state = 'withdrawn', changed_at = node_now(),
        note = CASE d.state WHEN 'failed' THEN 'superseded after it had failed: ' || d.note ELSE 'superseded before it was delivered' END
    FROM jobs j WHERE j.id = d.job_id AND j.state = 'superseded' AND d.state IN ('pending', 'failed')
""")


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """One object for one destination, under lease. ``token`` is the fencing token."""

    id: int
    token: UUID
    attempt: int
    destination: str
    job_id: int
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    sha256: str
    age_s: float = 0.0  # seconds since the delivery was created
    research: bool = False  # made by a model of status research


def claim_deliveries(
    database: Database, *, sender: str, lease_s: float, limit: int, max_bytes: int = ANY_SIZE, destinations: tuple[str, ...] | None = None
) -> list[ClaimedDelivery]:
    """Lease up to ``limit`` due deliveries, urgent ones first; the attempts are committed before sending begins.

    Their objects have at most ``max_bytes`` together, or it is one object.
    """
    names = None if destinations is None else list(destinations)
    with database.begin() as connection:
        values = {"sender": sender, "lease_s": lease_s, "limit": limit, "max_bytes": max_bytes, "destinations": names}
        ids = list(connection.execute(_CLAIM, values).scalars())
        if not ids:
            return []
        connection.execute(_BEGIN_ATTEMPTS, {"ids": ids})
        return [ClaimedDelivery(**row._asdict()) for row in connection.execute(_CLAIMED, {"ids": ids})]


def renew_deliveries(database: Database, claimed: Iterable[ClaimedDelivery], lease_s: float) -> None:
    """Renew the leases of claimed deliveries for another ``lease_s``; leases that were lost stay lost."""
    with database.begin() as connection:
        connection.execute(_RENEW, {"tokens": [str(delivery.token) for delivery in claimed], "lease_s": lease_s})


def reap_deliveries(database: Database) -> int:
    """Make deliveries whose lease has expired pending again; return how many.

    A delivery that is lost once is due at once. One that is lost again may be what kills its sender: it waits LOST_BASE_S, then twice that
    and so on, and up to twice as long by its number, so that those which were lost together are not claimed together again.

    Also withdraws waiting and failed deliveries of superseded jobs, and replaces reports that wait for an object which the destination will
    not take.
    """
    with database.begin() as connection:
        tokens = [str(token) for token in connection.execute(_EXPIRED, {"base_s": LOST_BASE_S, "cap_s": LOST_CAP_S}).scalars()]
        if tokens:
            connection.execute(_LOST, {"tokens": tokens})
            notify(connection, "delivery")
        connection.execute(_WITHDRAW_SUPERSEDED)
    with database.begin() as connection:
        if delivery_order.replace_blocked_reports(connection):
            notify(connection, "delivery")
    return len(tokens)
