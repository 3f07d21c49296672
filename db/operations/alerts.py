"""Alerts: one row from the begin of a condition to its end, with an audit event and a notification for each of the two."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db import audit, counters
from db.engine import Database
from db.operations import webhook_notifications

_BEGIN = text("""
    INSERT INTO alerts (kind, subject, details) VALUES (:kind, :subject, CAST(:details AS jsonb)) ON CONFLICT DO NOTHING RETURNING since
""")
_END = text("""
    DELETE FROM alerts WHERE kind = :kind AND subject = :subject
    RETURNING since, extract(epoch FROM node_now() - since)::float8 AS lasted_s
""")
_CURRENT = text("""
    SELECT kind, subject, extract(epoch FROM node_now() - since)::float8 AS age_s, details FROM alerts ORDER BY since, kind, subject
""")


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that needs a person.

    ``kind`` is the condition (``receive.paused``); ``subject`` what it concerns (a destination, a role, a reason), or empty.
    """

    kind: str
    subject: str
    age_s: float
    details: Mapping[str, Any]


def begin_alert(
    database: Database, kind: str, subject: str, details: Mapping[str, Any], *, actor: str, webhook: bool, audited: bool = True
) -> bool:
    """Record that a condition began; return False if it is known already.

    Parameters
    ----------
    details
        Facts about it; no patient data, no UID.
    webhook
        Whether a webhook is configured that gets a notification.
    audited
        False where another audit event records it already.
    """
    with database.begin() as connection:
        values = {"kind": kind, "subject": subject, "details": json.dumps(dict(details))}
        since = connection.execute(_BEGIN, values).scalar_one_or_none()
        if since is None:
            return False
        counters.add(connection, [("alerts", (kind,), 1)])
        if audited:
            audit.record(connection, actor=actor, action=f"{kind}.began", subject=f"alert:{subject}", details=details)
        if webhook:
            key = f"{kind}:{subject}:{since.isoformat()}:began"
            webhook_notifications.add_notification(connection, key, f"{kind}.began", subject, details)
    return True


def end_alert(
    database: Database, kind: str, subject: str, details: Mapping[str, Any], *, actor: str, webhook: bool, audited: bool = True
) -> bool:
    """Record that a condition ended; return False if it was not known. Parameters as in `begin_alert`."""
    with database.begin() as connection:
        row = connection.execute(_END, {"kind": kind, "subject": subject}).one_or_none()
        if row is None:
            return False
        facts = {**details, "lasted_s": round(row.lasted_s, 1)}
        if audited:
            audit.record(connection, actor=actor, action=f"{kind}.ended", subject=f"alert:{subject}", details=facts)
        if webhook:
            key = f"{kind}:{subject}:{row.since.isoformat()}:ended"
            webhook_notifications.add_notification(connection, key, f"{kind}.ended", subject, facts)
    return True


def read_alerts(connection: Connection) -> tuple[Alert, ...]:
    """Return the current alerts, the oldest first, in the caller's transaction."""
    return tuple(Alert(row.kind, row.subject, max(0.0, row.age_s), dict(row.details)) for row in connection.execute(_CURRENT))


def current_alerts(database: Database) -> tuple[Alert, ...]:
    """Return the current alerts, the oldest first."""
    with database.begin() as connection:
        return read_alerts(connection)
