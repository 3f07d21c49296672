"""The audit trail: events written in the transaction of the act, and linked to a hash chain right after it.

Recording an event is one INSERT, so that the chain does not lock the receive path. One chainer at a time gives every committed event,
lowest id first, the next number, and the hash over the hash before it and its own content. An event that commits late has a lower id
and a higher number, so that no event is left out.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, text

from core.failpoints import failpoint
from db.audit_archive.chained_event import ChainedEvent
from db.audit_archive.months import archived_runs
from db.engine import Database
from db.pipelined import Statement
from db.row_values import row_to_json

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
_LINK = text("SELECT audit_link(:previous, CAST(:ids AS bigint[]), CAST(:hashes AS text[]))")
_CHAINED = text("""
    SELECT id, at, actor, action, subject, details, chain_seq, chain_hash
    FROM audit_events WHERE chain_seq IS NOT NULL ORDER BY chain_seq
""")


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """Result of `verify`: ``broken`` is the id of the first broken event, None if the chain is unbroken.

    ``archived`` events of the chain are in archives that were not given: of those, only the hashes at both ends were compared.
    With anchors (`db.anchor.verification`): ``anchors`` were compared, ``anchor_problem`` is why the chain does not fit them, or "".
    """

    events: int
    chained: int
    unchained: int
    head: str  # hash of the last chained event
    broken: int | None = None
    reason: str = ""
    anchors: int = 0
    anchor_problem: str = ""
    time_stamps: int = 0
    restored: tuple[str, ...] = ()  # what restores of the database took back, and whether earlier anchors are elsewhere
    archived: int = 0

    @property
    def ok(self) -> bool:
        """Whether the chain is unbroken and fits its anchors."""
        return self.broken is None and not self.anchor_problem


def record(connection: Connection, *, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> None:
    """Write an event in the caller's transaction. It holds no patient identifier, name or UID: see `patient_reference`."""
    connection.execute(*record_statement(actor=actor, action=action, subject=subject, details=details))


def record_statement(*, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> Statement:
    """Return the statement of `record`, for `db.pipelined.execute_pipelined`."""
    return _RECORD, {"actor": actor, "action": action, "subject": subject, "details": json.dumps(dict(details or {}))}


def record_now(database: Database, *, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> None:
    """Write an event in a transaction of its own, for an act that writes nothing else (a rejected association, a sign-in)."""
    with database.begin() as connection:
        record(connection, actor=actor, action=action, subject=subject, details=details)


def patient_reference(secret: bytes, issuer: str, patient_id: str) -> str:
    """Return a keyed reference to a patient (HMAC-SHA256, 32 hex digits).

    The same patient always has the same reference. Deleting the key makes it impossible to find the patient from the reference.
    """
    return hmac.new(secret, f"{issuer}\x1f{patient_id}".encode(), hashlib.sha256).hexdigest()[:32]


def link_hash(previous: str, event: ChainedEvent) -> str:
    """Return the SHA-256 of the hash before and the event as canonical JSON (sorted keys, no spaces, UTF-8)."""
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
    """Link up to ``limit`` events to the chain and return how many; 0 while another process does it."""
    with database.begin() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": CHAIN_LOCK}).scalar_one():
            return 0
        found = connection.execute(_HEAD).one_or_none()
        head = previous = found.chain_hash if found else GENESIS
        ids, hashes = [], []
        for event in connection.execute(_UNCHAINED, {"limit": limit}):
            previous = link_hash(previous, event)
            ids.append(event.id)
            hashes.append(previous)
        if ids:
            connection.execute(_LINK, {"previous": head, "ids": ids, "hashes": hashes})
            failpoint("chain.written")
    return len(ids)


def verify(
    database: Database, anchored: Mapping[int, str] | None = None, anchored_at: str = "", archives: Iterable[Iterable[ChainedEvent]] = ()
) -> ChainCheck:
    """Check the chain from its first event to the first one whose hash or number is wrong.

    Parameters
    ----------
    anchored
        Number of an event in the chain -> hash that it had when it was anchored.
    anchored_at
        Time of the last anchor, for the message.
    archives
        Events of archived months, each archive in the order of the chain. An archived stretch that no archive holds is passed over: the
        chain has to lead to the hash before it, and to continue from the hash of its last event.
    """
    anchored = anchored or {}
    with database.begin() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        counts = connection.execute(text("SELECT count(*) AS events, count(chain_seq) AS chained FROM audit_events")).one()
        runs = archived_runs(connection)
        previous, number, chained, archived, broken, reason, rewritten = GENESIS, 0, 0, 0, None, "", ""
        kept: Iterable[Any] = connection.execution_options(yield_per=FETCH_ROWS).execute(_CHAINED)
        for event in merge(kept, *archives, key=attrgetter("chain_seq")):
            while event.chain_seq != number + 1 and (run := runs.get(number + 1)) is not None and run.before == previous:
                previous, number, archived = run.head, run.last, archived + run.last - number
            if event.chain_seq != number + 1:
                broken, reason = event.id, f"chain number {number + 1} is missing before this event: a row was removed"
            elif link_hash(previous, event) != event.chain_hash:
                broken, reason = event.id, "its content, or its predecessor, is not what was chained"
            if broken is not None:
                break
            previous, number, chained = event.chain_hash, event.chain_seq, chained + 1
            if not rewritten and anchored.get(number, previous) != previous:
                rewritten = f"event {number} of the chain has another hash than its anchor: the chain was written anew"
    unchained, head = counts.events - counts.chained, "" if previous == GENESIS else previous
    if broken is not None:  # the rest was not read
        chained = counts.chained
    elif not rewritten and (last := max(anchored, default=0)) > number:
        rewritten = f"event {last} was anchored at {anchored_at}, and the chain ends with event {number}: events were deleted"
    return ChainCheck(counts.events, chained, unchained, head, broken, reason, len(anchored), rewritten, archived=archived)


def export(database: Database, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Yield every event as a JSON object, by id; older events than ``since`` (UTC) are left out."""
    query = text("SELECT * FROM v_audit WHERE CAST(:since AS timestamptz) IS NULL OR at >= :since ORDER BY event_id")
    with database.begin() as connection:
        for row in connection.execution_options(yield_per=FETCH_ROWS).execute(query, {"since": since}):
            yield row_to_json(row)
