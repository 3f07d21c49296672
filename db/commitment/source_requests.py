"""Storage commitment requests of sources: kept as rows, and reported on.

A request that lists only instances that are held, and all that are held of a series, is evidence that the series is complete.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from db import audit
from db.engine import Database
from db.notify import notify
from db.row_values import clean_text

_ADD = text("""
    INSERT INTO source_commitment_requests (source, transaction_uid, sop_class_uids, sop_instance_uids)
    VALUES (:source, :transaction_uid, :classes, :instances)
    ON CONFLICT (source, transaction_uid) DO UPDATE SET sop_class_uids = excluded.sop_class_uids,
        sop_instance_uids = excluded.sop_instance_uids, state = 'pending', attempts = 0, next_attempt_at = node_now(),
        received_at = node_now(), answered_at = NULL, note = ''
    RETURNING id
""")
_COUNT_HELD = text("""
    SELECT count(DISTINCT listed.uid) AS listed, count(DISTINCT i.sop_instance_uid) AS held
    FROM unnest(CAST(:instances AS text[])) AS listed (uid)
    LEFT JOIN instances i ON i.sop_instance_uid = listed.uid AND i.state = 'current'
""")
_SET_REQUESTED = text("""
    UPDATE units SET requested = found.held, requested_at = node_now(), changed_since_check = true, next_check_at = node_now()
    FROM (SELECT u.id, u.held FROM units u
          WHERE u.state = 'open' AND u.kind = 'series'
            AND u.id IN (SELECT unit_id FROM instances WHERE sop_instance_uid = ANY(:instances) AND state = 'current')
            AND NOT EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'current'
                            AND NOT i.sop_instance_uid = ANY(:instances))
          ORDER BY u.id FOR NO KEY UPDATE) AS found
    WHERE units.id = found.id
""")
_CLAIM = text("""
    UPDATE source_commitment_requests SET attempts = attempts + 1, next_attempt_at = node_now() + make_interval(secs => :lease_s)
    WHERE id = (SELECT id FROM source_commitment_requests WHERE state = 'pending' AND next_attempt_at <= (SELECT node_now())
                ORDER BY next_attempt_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id, source, transaction_uid, sop_class_uids, sop_instance_uids, attempts
""")
_RESERVE = text("UPDATE source_commitment_requests SET next_attempt_at = node_now() + make_interval(secs => :lease_s) WHERE id = :id")
_GET = text("""
    SELECT id, source, transaction_uid, sop_class_uids, sop_instance_uids, attempts FROM source_commitment_requests
    WHERE id = :id AND state = 'pending'
""")
_CONTENTS = text("""
    SELECT sop_instance_uid, sop_class_uid, sha256 FROM instances
    WHERE sop_instance_uid = ANY(:instances) AND removed_at IS NULL ORDER BY id
""")
_END = text("""
    UPDATE source_commitment_requests SET state = :state, note = :note, held = :held, answered_at = node_now()
    WHERE id = :id AND state = 'pending'
""")
_LATER = text("""
    UPDATE source_commitment_requests SET note = :note, attempts = attempts - CASE WHEN :counts THEN 0 ELSE 1 END,
        next_attempt_at = node_now() + make_interval(secs => :in_s)
    WHERE id = :id AND state = 'pending'
""")


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """A storage commitment request of a source."""

    id: int
    source: str
    transaction_uid: str
    instances: tuple[tuple[str, str], ...]  # (SOP Class UID, SOP Instance UID), as the source listed them
    attempts: int


@dataclass(frozen=True, slots=True)
class IndexedContent:
    """A content that is indexed under a SOP Instance UID."""

    sop_class_uid: str
    sha256: str


def record_source_request(
    database: Database, *, source: str, transaction_uid: str, instances: Sequence[tuple[str, str]], reserve_s: float
) -> int:
    """Keep a request and return its id. It is committed when this returns, and will be answered; the same request is answered again.

    ``reserve_s``: for so long no other process claims it, because the caller sends the report itself.

    Raises
    ------
    StorageError
        The database does not respond; nothing was written.
    """
    uids = [clean_text(uid) for _, uid in instances]
    values = {
        "source": clean_text(source),
        "transaction_uid": clean_text(transaction_uid),
        "classes": [clean_text(uid) for uid, _ in instances],
        "instances": uids,
    }
    with database.begin() as connection:
        _record_evidence(connection, uids)  # before everything else, because it locks units
        id = int(connection.execute(_ADD, values).scalar_one())
        if reserve_s > 0:
            connection.execute(_RESERVE, {"id": id, "lease_s": reserve_s})
        details = {"instances": len(uids)}
        audit.record(connection, actor=f"ae:{clean_text(source)}", action="commitment.requested", subject=f"answer:{id}", details=details)
        notify(connection, "delivery")
    return id


def _record_evidence(connection: Connection, uids: list[str]) -> None:
    """Record in every open series that the request lists all of its instances, if all listed instances are held."""
    counted = connection.execute(_COUNT_HELD, {"instances": uids}).one()
    if counted.listed != counted.held:
        return  # a listed instance has not been received, and may belong to any series
    if connection.execute(_SET_REQUESTED, {"instances": uids}).rowcount:
        notify(connection, "intake")


def claim_source_request(database: Database, *, lease_s: float) -> SourceRequest | None:
    """Return the request that has waited longest for its report, and lease it for ``lease_s``; None if there is none."""
    with database.begin() as connection:
        row = connection.execute(_CLAIM, {"lease_s": lease_s}).one_or_none()
    return None if row is None else _request(row)


def get_source_request(database: Database, id: int) -> SourceRequest | None:
    """Return a request whose report is still to be sent; None if it is answered."""
    with database.begin() as connection:
        row = connection.execute(_GET, {"id": id}).one_or_none()
    return None if row is None else _request(row)


def _request(row: Row[Any]) -> SourceRequest:
    pairs = tuple(zip(row.sop_class_uids, row.sop_instance_uids, strict=True))
    return SourceRequest(row.id, row.source, row.transaction_uid, pairs, row.attempts)


def indexed_contents(database: Database, uids: Sequence[str]) -> dict[str, list[IndexedContent]]:
    """Return, by SOP Instance UID, every content that is indexed and that retention has not removed."""
    found: dict[str, list[IndexedContent]] = {}
    with database.begin() as connection:
        for row in connection.execute(_CONTENTS, {"instances": list(uids)}):
            found.setdefault(row.sop_instance_uid, []).append(IndexedContent(row.sop_class_uid, row.sha256))
    return found


def record_answered(database: Database, request: SourceRequest, *, held: int) -> None:
    """Record that the source has the report, and that the node committed to ``held`` of its instances."""
    _end(database, request, "answered", "", held)


def record_unanswered(database: Database, request: SourceRequest, *, why: str) -> None:
    """Record that the report could not be sent, permanently."""
    _end(database, request, "failed", why, None)


def _end(database: Database, request: SourceRequest, state: str, note: str, held: int | None) -> None:
    with database.begin() as connection:
        connection.execute(_END, {"id": request.id, "state": state, "note": note, "held": held})
        details = {"instances": len(request.instances), "held": held, "attempts": request.attempts}
        audit.record(connection, actor="sender", action=f"commitment.{state}_source", subject=f"answer:{request.id}", details=details)


def retry_answer_later(database: Database, request: SourceRequest, *, why: str, in_s: float, counts: bool = True) -> None:
    """Send the report again in ``in_s``. ``counts``: this was an attempt; not where the blobs could not be reached."""
    with database.begin() as connection:
        connection.execute(_LATER, {"id": request.id, "note": why, "in_s": in_s, "counts": counts})
