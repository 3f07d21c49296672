"""Deliveries under lease: one result object to one destination, every attempt a row. In which order: ``db.deliveries.delivery_order``."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import text

from core.errors import LeaseLost
from core.failpoints import failpoint
from core.states import DeliveryState
from db import audit
from db.deliveries import delivery_order
from db.deliveries.job_completion import close_jobs, lock_jobs
from db.engine import Database
from db.notify import notify
from db.records import ClaimedDelivery
from db.row_values import jsonable

_CLAIM = text(f"""
    UPDATE deliveries SET state = 'sending', token = gen_random_uuid(), sender = :sender, attempts = attempts + 1,
        lease_until = node_now() + make_interval(secs => :lease_s), changed_at = node_now()
    WHERE id IN (
        SELECT d.id FROM deliveries d
        WHERE d.state = 'pending' AND next_attempt_at <= (SELECT node_now())
          AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = d.job_id AND j.state = 'superseded')
          AND (CAST(:destinations AS text[]) IS NULL OR destination = ANY(:destinations))
          AND NOT {delivery_order.MUST_WAIT}
        ORDER BY d.priority DESC, d.next_attempt_at, d.id LIMIT :limit FOR NO KEY UPDATE OF d SKIP LOCKED)
    RETURNING id
""")
_BEGIN_ATTEMPTS = text("""
    INSERT INTO delivery_attempts (delivery_id, number, sender, token)
    SELECT d.id, (SELECT count(*) + 1 FROM delivery_attempts a WHERE a.delivery_id = d.id), d.sender, d.token
    FROM deliveries d WHERE d.id = ANY(:ids)
""")
_CLAIMED = text("""
    SELECT d.id, d.token, d.attempts, d.destination, d.job_id, r.kind, r.sop_class_uid, r.sop_instance_uid, r.sha256,
           greatest(0, extract(epoch FROM node_now() - d.created_at))::float8 AS age_s,
           coalesce(j.identity ->> 'status' = 'research', false) AS research
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id
    WHERE d.id = ANY(:ids) ORDER BY d.priority DESC, d.next_attempt_at, d.job_id, d.id
""")
_RENEW = text("""
    UPDATE deliveries SET lease_until = node_now() + make_interval(secs => :lease_s)
    WHERE state = 'sending' AND token = ANY(CAST(:tokens AS uuid[]))
""")
_OWN = text("SELECT id FROM deliveries WHERE id = :id AND state = 'sending' AND token = CAST(:token AS uuid) FOR NO KEY UPDATE")
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
_EXPIRED = text("""
    UPDATE deliveries SET state = 'pending', sender = NULL, token = NULL, lease_until = NULL, changed_at = node_now(),
        next_attempt_at = node_now(), note = 'the sender was lost'
    FROM (SELECT d.id, d.token FROM deliveries d WHERE d.state = 'sending' AND d.lease_until < (SELECT node_now())
          ORDER BY d.id FOR NO KEY UPDATE SKIP LOCKED) AS old
    WHERE deliveries.id = old.id RETURNING old.token
""")
_LOST = text("""
    UPDATE delivery_attempts SET result = 'lost', ended_at = node_now() WHERE token = ANY(CAST(:tokens AS uuid[]))
""")
# A delivery that was given back at the moment its job was superseded.
_WITHDRAW_ORPHANS = text("""
    UPDATE deliveries d SET state = 'withdrawn', changed_at = node_now(), note = 'superseded before it was delivered'
    FROM jobs j WHERE j.id = d.job_id AND j.state = 'superseded' AND d.state = 'pending'
""")
_WAKE = text("""
    UPDATE deliveries SET next_attempt_at = created_at
    WHERE destination = :destination AND state = 'pending' AND next_attempt_at > (SELECT node_now())
""")
_LIST = text("""
    SELECT * FROM v_deliveries WHERE (CAST(:state AS text) IS NULL OR state = :state)
      AND (CAST(:destination AS text) IS NULL OR destination = :destination)
    ORDER BY delivery_id DESC LIMIT :limit
""")
_JOBS_OF = text("SELECT DISTINCT job_id FROM deliveries WHERE id = ANY(:ids)")
_RETRY = text("""
    UPDATE deliveries d SET state = 'pending', next_attempt_at = node_now(), changed_at = node_now(), attempts = 0, resends = 0,
        commitment_id = NULL
    FROM jobs j
    WHERE d.id = ANY(:ids) AND d.state IN ('held', 'failed', 'pending') AND j.id = d.job_id AND j.state <> 'superseded'
    RETURNING d.id
""")


def claim(
    database: Database, *, sender: str, lease_s: float, limit: int, destinations: tuple[str, ...] | None = None
) -> list[ClaimedDelivery]:
    """Lease up to ``limit`` due deliveries, the urgent first; the attempt is committed before the sending."""
    names = None if destinations is None else list(destinations)
    with database.begin() as connection:
        values = {"sender": sender, "lease_s": lease_s, "limit": limit, "destinations": names}
        ids = list(connection.execute(_CLAIM, values).scalars())
        if not ids:
            return []
        connection.execute(_BEGIN_ATTEMPTS, {"ids": ids})
        return [
            ClaimedDelivery(
                id=row.id,
                token=row.token,
                attempt=row.attempts,
                destination=row.destination,
                job_id=row.job_id,
                kind=row.kind,
                sop_class_uid=row.sop_class_uid,
                sop_instance_uid=row.sop_instance_uid,
                sha256=row.sha256,
                age_s=row.age_s,
                research=row.research,
            )
            for row in connection.execute(_CLAIMED, {"ids": ids})
        ]


def renew(database: Database, held: Iterable[ClaimedDelivery], lease_s: float) -> None:
    """The sender lives: what it holds and has not sent yet is its own for another ``lease_s``. What was lost stays lost."""
    with database.begin() as connection:
        connection.execute(_RENEW, {"tokens": [str(d.token) for d in held], "lease_s": lease_s})


def stored(database: Database, d: ClaimedDelivery, *, status: int, note: str = "", commit: bool = False) -> None:
    """The destination has it (``status`` of success or warning). When nothing of the job is missing, the job is delivered.

    ``commit``: it is missing until the destination has committed to it (`db.commitment.destination_requests`).

    Raises
    ------
    LeaseLost
        The lease ran out and another sender has it; sending the same object again is harmless.
    """
    _end(database, d, DeliveryState.STORED, "stored", status=status, note=note, commit=commit)


def retry_later(database: Database, d: ClaimedDelivery, *, error: str, in_s: float) -> None:
    """A transient failure: again in ``in_s``. Raises LeaseLost as ``stored`` does."""
    _end(database, d, DeliveryState.PENDING, "retry", note=error, in_s=in_s)


def put_back(database: Database, d: ClaimedDelivery, *, why: str) -> None:
    """It was not tried: the destination is away. No attempt is counted, and it keeps its place in the order. Raises LeaseLost."""
    _end(database, d, DeliveryState.PENDING, "retry", note=why, tried=False)


def failed(database: Database, d: ClaimedDelivery, *, error: str, status: int | None) -> None:
    """A permanent failure: a person has to look. Raises LeaseLost as ``stored`` does."""
    _end(database, d, DeliveryState.FAILED, "failed", status=status, note=error)


def hold(database: Database, d: ClaimedDelivery, *, reason: str, status: int | None = None) -> None:
    """A policy holds it (a research model, a destination that is gone), or the destination holds something else.

    Raises LeaseLost as ``stored`` does.
    """
    _end(database, d, DeliveryState.HELD, "held", status=status, note=reason)


def _end(
    database: Database, d: ClaimedDelivery, state: DeliveryState, result: str, *, status: int | None = None, note: str = "",
    in_s: float = 0.0, commit: bool = False, tried: bool = True,
) -> None:  # fmt: skip
    with database.begin() as connection:
        lock_jobs(connection, [d.job_id])
        if connection.execute(_OWN, {"id": d.id, "token": str(d.token)}).one_or_none() is None:
            raise LeaseLost(f"delivery {d.id} is not held by this attempt any more", hint="nothing was written; another sender has it")
        if state is not DeliveryState.STORED and connection.execute(_SUPERSEDED, {"job_id": d.job_id}).scalar_one():
            state = DeliveryState.WITHDRAWN  # a newer result is on its way: this one is not tried again
        values = {"id": d.id, "state": state.value, "status": status, "note": note, "in_s": in_s, "commit": commit, "tried": tried}
        connection.execute(_SET, values)
        connection.execute(_END_ATTEMPT, {"token": str(d.token), "result": result, "status": status, "note": note})
        if state is DeliveryState.PENDING and tried:
            delivery_order.follow(connection, d.id)
        details = {"destination": d.destination, "job": d.job_id, "sha256": d.sha256, "status": status, "attempt": d.attempt}
        action = f"delivery.{'retried' if state is DeliveryState.PENDING else state.value}"
        audit.record(connection, actor="sender", action=action, subject=f"delivery:{d.id}", details=details)
        close_jobs(connection, [d.job_id])
        failpoint("settle.written")


def reap(database: Database) -> int:
    """Deliveries whose sender is gone are pending again, or withdrawn when superseded; gives how many.

    Reports that wait for what the destination will not take are replaced.
    """
    with database.begin() as connection:
        tokens = [str(token) for token in connection.execute(_EXPIRED).scalars()]
        if tokens:
            connection.execute(_LOST, {"tokens": tokens})
            notify(connection, "delivery")
        connection.execute(_WITHDRAW_ORPHANS)
    with database.begin() as connection:
        if delivery_order.stand_in(connection):
            notify(connection, "delivery")
    return len(tokens)


def wake(database: Database, destination: str) -> int:
    """The destination is back: what waits for another attempt is due at once, in the order it was made; gives how many."""
    with database.begin() as connection:
        return int(connection.execute(_WAKE, {"destination": destination}).rowcount)


def listing(
    database: Database, *, state: DeliveryState | str | None = None, destination: str | None = None, limit: int = 200
) -> list[dict[str, Any]]:
    """Rows of v_deliveries, the newest first, as JSON objects."""
    values = {"state": None if state is None else str(state), "destination": destination, "limit": limit}
    with database.begin() as connection:
        return [jsonable(row) for row in connection.execute(_LIST, values)]


def retry(database: Database, ids: Iterable[int], actor: str) -> list[int]:
    """Held, failed and waiting deliveries at once; gives those that were. A person answers for a held one: it is audited."""
    wanted = list(ids)
    with database.begin() as connection:
        lock_jobs(connection, list(connection.execute(_JOBS_OF, {"ids": wanted}).scalars()))
        done = sorted(connection.execute(_RETRY, {"ids": wanted}).scalars())
        delivery_order.give_back(connection, done, actor)
        for id in done:
            audit.record(connection, actor=actor, action="delivery.released", subject=f"delivery:{id}")
        if done:
            notify(connection, "delivery")
    return done
