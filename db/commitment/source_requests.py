"""Storage commitment that sources ask of us: their requests as rows, and what of them is held.

A request that names nothing but instances held, and every one that is held of a series, is evidence that the series is complete.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from db import audit
from db.engine import Database
from db.notify import notify
from db.row_values import clean

_ADD = text("""
    INSERT INTO source_commitment_requests (source, transaction_uid, sop_class_uids, sop_instance_uids)
    VALUES (:source, :transaction_uid, :classes, :instances)
    ON CONFLICT (source, transaction_uid) DO UPDATE SET sop_class_uids = excluded.sop_class_uids,
        sop_instance_uids = excluded.sop_instance_uids, state = 'pending', attempts = 0,
            next_attempt_at = node_now(), received_at = node_now(),
        answered_at = NULL, note = ''
    RETURNING id
""")
_HELD = text("""
    SELECT count(DISTINCT listed.uid) AS listed, count(DISTINCT i.sop_instance_uid) AS held
    FROM unnest(CAST(:instances AS text[])) AS listed (uid)
    LEFT JOIN instances i ON i.sop_instance_uid = listed.uid AND i.state = 'current'
""")
_REQUESTED = text("""
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
_ONE = text("""
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
    UPDATE source_commitment_requests SET note = :note,
        next_attempt_at = node_now() + make_interval(secs => :in_s) WHERE id = :id AND state = 'pending'
""")


@dataclass(frozen=True, slots=True)
class Asked:
    """A source's request. ``instances``: (SOP Class UID, SOP Instance UID), as it listed them."""

    id: int
    source: str
    transaction_uid: str
    instances: tuple[tuple[str, str], ...]
    attempts: int


@dataclass(frozen=True, slots=True)
class Content:
    """One content that is indexed under a SOP Instance UID."""

    sop_class_uid: str
    sha256: str


def record(database: Database, *, source: str, transaction_uid: str, instances: Sequence[tuple[str, str]], reserve_s: float) -> int:
    """Keep a request; when this returns it is committed and will be answered. The same again is answered again.

    ``reserve_s``: for so long the caller means to answer it itself.

    Raises
    ------
    StorageError
        The database is out of reach; nothing was kept.
    """
    uids = [clean(uid) for _, uid in instances]
    values = {
        "source": clean(source),
        "transaction_uid": clean(transaction_uid),
        "classes": [clean(uid) for uid, _ in instances],
        "instances": uids,
    }
    with database.begin() as connection:
        _note_evidence(connection, uids)  # units are locked before anything else is
        id = int(connection.execute(_ADD, values).scalar_one())
        if reserve_s > 0:
            connection.execute(_RESERVE, {"id": id, "lease_s": reserve_s})
        details = {"instances": len(uids)}
        audit.record(connection, actor=f"ae:{clean(source)}", action="commitment.requested", subject=f"answer:{id}", details=details)
        notify(connection, "delivery")
    return id


def _note_evidence(connection: Connection, uids: list[str]) -> None:
    counted = connection.execute(_HELD, {"instances": uids}).one()
    if counted.listed != counted.held:
        return  # something of it is still to come, and may be of any series
    if connection.execute(_REQUESTED, {"instances": uids}).rowcount:
        notify(connection, "intake")


def claim(database: Database, *, lease_s: float) -> Asked | None:
    """The request that waits longest for its answer; for ``lease_s`` nobody else gets it."""
    with database.begin() as connection:
        row = connection.execute(_CLAIM, {"lease_s": lease_s}).one_or_none()
    return None if row is None else _asked(row)


def get(database: Database, id: int) -> Asked | None:
    """A request that is still to be answered."""
    with database.begin() as connection:
        row = connection.execute(_ONE, {"id": id}).one_or_none()
    return None if row is None else _asked(row)


def _asked(row: Row[Any]) -> Asked:
    pairs = tuple(zip(row.sop_class_uids, row.sop_instance_uids, strict=True))
    return Asked(row.id, row.source, row.transaction_uid, pairs, row.attempts)


def contents(database: Database, uids: Sequence[str]) -> dict[str, list[Content]]:
    """SOP Instance UID -> every content that is indexed under it and was not let go by retention."""
    found: dict[str, list[Content]] = {}
    with database.begin() as connection:
        for row in connection.execute(_CONTENTS, {"instances": list(uids)}):
            found.setdefault(row.sop_instance_uid, []).append(Content(row.sop_class_uid, row.sha256))
    return found


def answered(database: Database, asked: Asked, *, held: int) -> None:
    """The source has the answer: ``held`` of its instances are safe here."""
    _end(database, asked, "answered", "", held)


def failed(database: Database, asked: Asked, *, why: str) -> None:
    """The answer could not be brought to the source, for good."""
    _end(database, asked, "failed", why, None)


def _end(database: Database, asked: Asked, state: str, note: str, held: int | None) -> None:
    with database.begin() as connection:
        connection.execute(_END, {"id": asked.id, "state": state, "note": note, "held": held})
        details = {"instances": len(asked.instances), "held": held, "attempts": asked.attempts}
        audit.record(connection, actor="sender", action=f"commitment.{state}_source", subject=f"answer:{asked.id}", details=details)


def later(database: Database, asked: Asked, *, why: str, in_s: float) -> None:
    """Again in ``in_s``."""
    with database.begin() as connection:
        connection.execute(_LATER, {"id": asked.id, "note": why, "in_s": in_s})
