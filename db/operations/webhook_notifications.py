"""Notifications for the webhook: kept as rows, so that neither a restart nor an unreachable webhook loses one; no patient data."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from core.settings.operations import WebhookEvent
from db import audit, counters
from db.engine import Database

MAX_PENDING = 1000  # a webhook that is unreachable for months must not fill the database: the oldest count as failed
KEPT_DAYS = 7

_ADD = text("""
    INSERT INTO notifications (key, event, subject, details) VALUES (:key, :event, :subject, CAST(:details AS jsonb))
    ON CONFLICT DO NOTHING
""")
# Failures are audit events already. The index audit_events_failures covers exactly these three actions.
_COLLECT = text("""
    INSERT INTO notifications (key, event, subject, details, at)
    SELECT 'event:' || id, action, subject,
           jsonb_strip_nulls(jsonb_build_object('attempts', details -> 'attempts', 'destination', details -> 'destination',
                                                'status', details -> 'status')), at
    FROM audit_events WHERE action IN ('job.failed', 'job.quarantined', 'delivery.failed') AND at > node_now() - interval '1 day'
    ON CONFLICT DO NOTHING
""")
# Anti-joins, because most of what they find has a notification already. What waits for a verdict is held on purpose, and needs no message.
_COLLECT_HELD = text("""
    INSERT INTO notifications (key, event, subject, details, at)
    SELECT * FROM (
        SELECT 'held:' || id || ':' || changed_at AS key, 'delivery.held', 'delivery:' || id,
               jsonb_build_object('destination', destination, 'job', job_id), changed_at
        FROM deliveries WHERE state = 'held' AND NOT awaiting_verdict AND changed_at > node_now() - interval '1 day') AS held
    WHERE NOT EXISTS (SELECT FROM notifications n WHERE n.key = held.key)
    ON CONFLICT DO NOTHING
""")
_COLLECT_RESULTS = text("""
    INSERT INTO notifications (key, event, subject, details, at)
    SELECT * FROM (
        SELECT 'result:' || id AS key, 'job.reported', 'job:' || id,
               jsonb_build_object('model', model, 'version', model_version, 'outcome', outcome, 'priority', priority), reported_at
        FROM jobs WHERE coalesce(reported_at, queued_at) > node_now() - interval '1 day' AND reported_at IS NOT NULL
          AND outcome IS NOT NULL AND NOT shadow) AS results
    WHERE NOT EXISTS (SELECT FROM notifications n WHERE n.key = results.key)
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
_NOT_ACCEPTED = text("""
    SELECT id, event, subject, at, state, attempts, note, next_attempt_at FROM notifications
    WHERE (state = 'failed' OR (state = 'pending' AND note <> '')) AND (CAST(:before AS bigint) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :limit
""")
_POST_AGAIN = text("""
    UPDATE notifications SET state = 'pending', next_attempt_at = node_now() WHERE id = :id AND state <> 'sent' RETURNING id
""")
_FAIL_OLDEST = text("""
    UPDATE notifications SET state = 'failed', note = 'too many wait'
    WHERE state = 'pending' AND id <= (SELECT id FROM notifications WHERE state = 'pending' ORDER BY id DESC OFFSET :most LIMIT 1)
""")
_DELETE_OLD = text("DELETE FROM notifications WHERE at < node_now() - make_interval(days => :days) AND state <> 'pending'")


@dataclass(frozen=True, slots=True)
class Notification:
    """A message for the webhook. ``id`` is the same at every attempt, so that the receiver can recognise a repetition."""

    id: int
    event: str
    subject: str
    details: Mapping[str, Any]
    at: datetime
    attempts: int  # this one included


@dataclass(frozen=True, slots=True)
class UnacceptedNotification:
    """A message that the webhook has not accepted: ``state`` pending (posted again at ``next_attempt_at``) or failed; ``note`` says why."""

    id: int
    event: str
    subject: str
    at: datetime
    state: str
    attempts: int
    note: str
    next_attempt_at: datetime


def add_notification(connection: Connection, key: str, event: str, subject: str, details: Mapping[str, Any]) -> None:
    """Add a notification in the caller's transaction; without effect if there is one with this ``key`` already."""
    connection.execute(_ADD, {"key": key, "event": event, "subject": subject, "details": json.dumps(dict(details))})


def collect_notifications(database: Database, events: Collection[WebhookEvent]) -> None:
    """Add notifications of these kinds of the last day; delete old ones, and fail the oldest where too many wait. Alerts have theirs."""
    statements = {WebhookEvent.FAILURE: _COLLECT, WebhookEvent.HELD: _COLLECT_HELD, WebhookEvent.RESULT: _COLLECT_RESULTS}
    with database.begin() as connection:
        for event, statement in statements.items():
            if event in events:
                connection.execute(statement)
        if dropped := connection.execute(_FAIL_OLDEST, {"most": MAX_PENDING}).rowcount:
            counters.add(connection, [("notifications", ("failed",), dropped)])
        connection.execute(_DELETE_OLD, {"days": KEPT_DAYS})


def claim_notification(database: Database, *, lease_s: float) -> Notification | None:
    """Return the notification that has been due longest, and lease it for ``lease_s``; None if there is none."""
    with database.begin() as connection:
        row = connection.execute(_CLAIM, {"lease_s": lease_s}).one_or_none()
    return None if row is None else Notification(row.id, row.event, row.subject, dict(row.details), row.at, row.attempts)


def record_sent(database: Database, notification: Notification) -> None:
    """Record that the webhook has accepted a notification."""
    _end(database, notification, "sent", "")


def record_not_sent(database: Database, notification: Notification, why: str) -> None:
    """Record that a notification fails permanently."""
    _end(database, notification, "failed", why)


def list_unaccepted(database: Database, *, limit: int, before: int | None = None) -> list[UnacceptedNotification]:
    """Return the notifications that the webhook has not accepted, the newest first; those that were not posted yet are left out."""
    with database.begin() as connection:
        found = connection.execute(_NOT_ACCEPTED, {"limit": limit, "before": before})
        return [UnacceptedNotification(**row) for row in found.mappings()]


def post_again(database: Database, id: int, actor: str) -> bool:
    """Make a notification due now that the webhook has not accepted; return False where there is none. It is audited who asked."""
    with database.begin() as connection:
        done = connection.execute(_POST_AGAIN, {"id": id}).one_or_none() is not None
        if done:
            audit.record(connection, actor=actor, action="notification.retried", subject=f"notification:{id}")
    return done


def _end(database: Database, notification: Notification, state: str, note: str) -> None:
    with database.begin() as connection:
        if connection.execute(_END, {"id": notification.id, "state": state, "note": note}).rowcount:
            counters.add(connection, [("notifications", (state,), 1)])


def retry_notification_later(database: Database, notification: Notification, *, why: str, in_s: float) -> None:
    """Send a notification again in ``in_s``."""
    with database.begin() as connection:
        connection.execute(_LATER, {"id": notification.id, "note": why, "in_s": in_s})
