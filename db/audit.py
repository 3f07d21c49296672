"""The audit trail: events in the transaction of the act, linked to a hash chain right behind it.

An event is only an INSERT, so that the chain is no lock in the receive path. One chainer at a time gives every
committed event, oldest id first, the next number and the hash over the predecessor's hash and its own content.
What commits late has a lower id and a higher number: nothing is skipped.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from core.failpoints import failpoint
from db.engine import Database
from db.pipelined import Act
from db.records import ChainCheck
from db.row_values import jsonable

GENESIS = "0" * 64
CHAIN_LOCK = 0x6175646974  # "audit"
FETCH_ROWS = 1000

_RECORD = text("""
    WITH event AS (INSERT INTO audit_events (actor, action, subject, details)
                   VALUES (:actor, :action, :subject, CAST(:details AS jsonb)))
    SELECT pg_notify('audit', '')
""")
_UNCHAINED = text("""
    SELECT id, at, actor, action, subject, details FROM audit_events WHERE chain_seq IS NULL ORDER BY id LIMIT :limit
""")
_HEAD = text("SELECT chain_seq, chain_hash FROM audit_events WHERE chain_seq IS NOT NULL ORDER BY chain_seq DESC LIMIT 1")
_LINK = text("""
    UPDATE audit_events e SET chain_seq = link.number, chain_hash = link.hash
    FROM unnest(CAST(:ids AS bigint[]), CAST(:numbers AS bigint[]), CAST(:hashes AS text[])) AS link (id, number, hash) WHERE e.id = link.id
""")
_CHAINED = text("""
    SELECT id, at, actor, action, subject, details, chain_seq, chain_hash
    FROM audit_events WHERE chain_seq IS NOT NULL ORDER BY chain_seq
""")


def record(connection: Connection, *, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> None:
    """Add an event in the caller's transaction. No patient identifier, name or UID: see ``patient_reference``."""
    connection.execute(*recording(actor=actor, action=action, subject=subject, details=details))


def recording(*, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> Act:
    """As `record`, for `together`."""
    return _RECORD, {"actor": actor, "action": action, "subject": subject, "details": json.dumps(dict(details or {}))}


def record_now(database: Database, *, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> None:
    """Add an event of an act that writes nothing else (a refused association, a sign-in)."""
    with database.begin() as connection:
        record(connection, actor=actor, action=action, subject=subject, details=details)


def patient_reference(secret: bytes, issuer: str, patient_id: str) -> str:
    """A keyed reference (HMAC-SHA256, 32 hex digits): the same patient gives the same, erasing the key erases the link."""
    return hmac.new(secret, f"{issuer}\x1f{patient_id}".encode(), hashlib.sha256).hexdigest()[:32]


def _link_hash(previous: str, event: Row[Any]) -> str:
    """sha256 over the predecessor's hash and the event as canonical JSON (sorted keys, no spaces, UTF-8)."""
    content = {
        "id": event.id,
        "at": event.at.isoformat(timespec="microseconds"),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "details": event.details,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{canonical}".encode()).hexdigest()


def chain(database: Database, limit: int = 1000) -> int:
    """Link up to ``limit`` events; gives how many. 0 where another chainer is at work or nothing waits."""
    with database.begin() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": CHAIN_LOCK}).scalar_one():
            return 0
        head = connection.execute(_HEAD).one_or_none()
        number, previous = (head.chain_seq, head.chain_hash) if head else (0, GENESIS)
        ids, numbers, hashes = [], [], []
        for event in connection.execute(_UNCHAINED, {"limit": limit}):
            number, previous = number + 1, _link_hash(previous, event)
            ids.append(event.id)
            numbers.append(number)
            hashes.append(previous)
        if ids:
            connection.execute(_LINK, {"ids": ids, "numbers": numbers, "hashes": hashes})
            failpoint("chain.written")
    return len(ids)


def verify(database: Database) -> ChainCheck:
    """Walk the chain from its first event; stops at the first that does not hold."""
    with database.begin() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        counts = connection.execute(text("SELECT count(*) AS events, count(chain_seq) AS chained FROM audit_events")).one()
        previous, broken, reason = GENESIS, None, ""
        chained = connection.execution_options(yield_per=FETCH_ROWS).execute(_CHAINED)
        for number, event in enumerate(chained, start=1):
            if event.chain_seq != number:
                broken, reason = event.id, f"chain number {number} is missing before this event: a row was removed"
            elif _link_hash(previous, event) != event.chain_hash:
                broken, reason = event.id, "its content, or its predecessor, is not what was chained"
            if broken is not None:
                break
            previous = event.chain_hash
    unchained = counts.events - counts.chained
    return ChainCheck(counts.events, counts.chained, unchained, "" if previous == GENESIS else previous, broken, reason)


def export(database: Database, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Every event as a JSON object, by id; ``since`` (UTC) leaves out the older ones."""
    query = text("SELECT * FROM v_audit WHERE CAST(:since AS timestamptz) IS NULL OR at >= :since ORDER BY event_id")
    with database.begin() as connection:
        for row in connection.execution_options(yield_per=FETCH_ROWS).execute(query, {"since": since}):
            yield jsonable(row)
