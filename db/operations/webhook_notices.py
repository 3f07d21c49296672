"""What is to be told to the webhook: rows, so that neither a restart nor a webhook that is away loses one; no patient data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from db import counters
from db.engine import Database

MOST_WAITING = 1000  # a webhook that is gone for months must not fill the database: the oldest go, and are counted as failed
KEPT_DAYS = 7
GIVEN_UP = ("job.failed", "job.quarantined", "delivery.failed")

_ADD = text("""
    INSERT INTO notifications (key, event, subject, details) VALUES (:key, :event, :subject, CAST(:details AS jsonb)) ON CONFLICT DO NOTHING
""")
# Their events are in the trail already: what is told is what was audited. The index knows these three actions alone.
_GATHER = text("""
    INSERT INTO notifications (key, event, subject, details, at)
    SELECT 'event:' || id, action, subject,
           jsonb_strip_nulls(jsonb_build_object('attempts', details -> 'attempts', 'destination', details -> 'destination',
                                                'status', details -> 'status')), at
    FROM audit_events WHERE action IN ('job.failed', 'job.quarantined', 'delivery.failed') AND at > node_now() - interval '1 day'
    ON CONFLICT DO NOTHING
""")
_CLAIM = text("""
    UPDATE notifications SET attempts = attempts + 1, next_attempt_at = node_now() + make_interval(secs => :lease_s)
    WHERE id = (SELECT id FROM notifications WHERE state = 'pending' AND next_attempt_at <= (SELECT node_now())
                ORDER BY next_attempt_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id, event, subject, details, at, attempts
""")
_END = text("UPDATE notifications SET state = :state, note = :note WHERE id = :id AND state = 'pending'")
_LATER = text("""
    UPDATE notifications SET note = :note, next_attempt_at = node_now() + make_interval(secs => :in_s) WHERE id = :id AND state = 'pending'
""")
_TRIM = text("""
    UPDATE notifications SET state = 'failed', note = 'too many wait'
    WHERE state = 'pending' AND id <= (SELECT id FROM notifications WHERE state = 'pending' ORDER BY id DESC OFFSET :most LIMIT 1)
""")
_FORGET = text("DELETE FROM notifications WHERE at < node_now() - make_interval(days => :days) AND state <> 'pending'")


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. ``id`` is the same at every attempt: a receiver can tell a repeat."""

    id: int
    event: str
    subject: str
    details: Mapping[str, Any]
    at: datetime
    attempts: int  # this one included


def add(connection: Connection, key: str, event: str, subject: str, details: Mapping[str, Any]) -> None:
    """To be told, in the caller's transaction; ``key``: the same is told once."""
    connection.execute(_ADD, {"key": key, "event": event, "subject": subject, "details": json.dumps(dict(details))})


def gather(database: Database) -> None:
    """Make notices of what was given up during the last day; forget what was told long ago, and what nobody takes."""
    with database.begin() as connection:
        connection.execute(_GATHER)
        if dropped := connection.execute(_TRIM, {"most": MOST_WAITING}).rowcount:
            counters.add(connection, [("notifications", ("failed",), dropped)])
        connection.execute(_FORGET, {"days": KEPT_DAYS})


def claim(database: Database, *, lease_s: float) -> Notice | None:
    """The one that is due the longest; for ``lease_s`` nobody else gets it."""
    with database.begin() as connection:
        row = connection.execute(_CLAIM, {"lease_s": lease_s}).one_or_none()
    return None if row is None else Notice(row.id, row.event, row.subject, dict(row.details), row.at, row.attempts)


def sent(database: Database, notice: Notice) -> None:
    """The webhook has it."""
    _end(database, notice, "sent", "")


def failed(database: Database, notice: Notice, why: str) -> None:
    """Given up."""
    _end(database, notice, "failed", why)


def _end(database: Database, notice: Notice, state: str, note: str) -> None:
    with database.begin() as connection:
        if connection.execute(_END, {"id": notice.id, "state": state, "note": note}).rowcount:
            counters.add(connection, [("notifications", (state,), 1)])


def later(database: Database, notice: Notice, *, why: str, in_s: float) -> None:
    """Again in ``in_s``."""
    with database.begin() as connection:
        connection.execute(_LATER, {"id": notice.id, "note": why, "in_s": in_s})
