"""What is wrong now: one row from the moment it begins until it is over, one audit event and one notice for each of the two."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db import audit, counters
from db.engine import Database
from db.operations import webhook_notices

_BEGIN = text("""
    INSERT INTO alerts (kind, subject, details) VALUES (:kind, :subject, CAST(:details AS jsonb)) ON CONFLICT DO NOTHING RETURNING since
""")
_END = text("""
    DELETE FROM alerts WHERE kind = :kind AND subject = :subject
    RETURNING since, extract(epoch FROM node_now() - since)::float8 AS lasted_s
""")
_OPEN = text("""
    SELECT kind, subject, extract(epoch FROM node_now() - since)::float8 AS age_s, details FROM alerts ORDER BY since, kind, subject
""")


@dataclass(frozen=True, slots=True)
class Alert:
    """``kind``: what (`receive.paused`); ``subject``: of what (a destination, a role, a reason), "" where there is one alone."""

    kind: str
    subject: str
    age_s: float
    details: Mapping[str, Any]


def begin(database: Database, kind: str, subject: str, details: Mapping[str, Any], *, actor: str, tell: bool, audited: bool = True) -> bool:
    """It is so from now on; True where it was not known yet.

    ``details``: no patient data, no UID. ``tell``: there is a webhook. ``audited``: False where another event says it already.
    """
    with database.begin() as connection:
        values = {"kind": kind, "subject": subject, "details": json.dumps(dict(details))}
        since = connection.execute(_BEGIN, values).scalar_one_or_none()
        if since is None:
            return False
        counters.add(connection, [("alerts", (kind,), 1)])
        if audited:
            audit.record(connection, actor=actor, action=f"{kind}.began", subject=f"alert:{subject}", details=details)
        if tell:
            webhook_notices.add(connection, f"{kind}:{subject}:{since.isoformat()}:began", f"{kind}.began", subject, details)
    return True


def end(database: Database, kind: str, subject: str, details: Mapping[str, Any], *, actor: str, tell: bool, audited: bool = True) -> bool:
    """It is over; True where it was known."""
    with database.begin() as connection:
        row = connection.execute(_END, {"kind": kind, "subject": subject}).one_or_none()
        if row is None:
            return False
        told = {**details, "lasted_s": round(row.lasted_s, 1)}
        if audited:
            audit.record(connection, actor=actor, action=f"{kind}.ended", subject=f"alert:{subject}", details=told)
        if tell:
            webhook_notices.add(connection, f"{kind}:{subject}:{row.since.isoformat()}:ended", f"{kind}.ended", subject, told)
    return True


def read(connection: Connection) -> tuple[Alert, ...]:
    """Those that are so now, the oldest first."""
    return tuple(Alert(row.kind, row.subject, max(0.0, row.age_s), dict(row.details)) for row in connection.execute(_OPEN))


def now(database: Database) -> tuple[Alert, ...]:
    """As `read`, in a transaction of its own."""
    with database.begin() as connection:
        return read(connection)
