"""Search in the audit trail, and what happened to the data of one patient: who has viewed them, and who has received them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.row_values import escape_like

PAGE = 100
FETCH_ROWS = 500

_CONDITIONS = {
    "actor": "actor ILIKE :actor",
    "action": "action LIKE :action",
    "subject": "subject = :subject",
    "since": "at >= :since",
    "until": "at < CAST(:until AS date) + 1",
}
_ACTIONS = text("""
    WITH RECURSIVE found (action) AS (
        (SELECT action FROM audit_events ORDER BY action LIMIT 1)
        UNION ALL SELECT (SELECT e.action FROM audit_events e WHERE e.action > found.action ORDER BY e.action LIMIT 1)
        FROM found WHERE found.action IS NOT NULL)
    SELECT action FROM found WHERE action IS NOT NULL
""")
_STUDIES = text("SELECT id, study_instance_uid, accession_number, study_date FROM studies WHERE patient_id = :patient_id ORDER BY id")
_VIEWS = text("""
    SELECT e.at, e.actor, e.action, e.subject, e.details ->> 'from' AS address FROM audit_events e
    WHERE e.subject = ANY(:subjects) AND e.action IN ('study.viewed', 'object.downloaded')
    UNION ALL
    SELECT e.at, e.actor, e.action, 'study:' || shown.id, e.details ->> 'from' FROM audit_events e
    JOIN unnest(CAST(:ids AS bigint[])) AS shown (id) ON e.details -> 'studies' @> to_jsonb(shown.id)
    WHERE e.subject = 'worklist'
    ORDER BY at DESC
""")
_DELIVERIES = text("""
    SELECT coalesce(d.committed_at, d.stored_at) AS at, d.destination, r.kind, r.sop_instance_uid, d.state, j.model, j.model_version,
           'study:' || se.study_id AS subject
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id JOIN units u ON u.id = j.unit_id
    JOIN series se ON se.id = u.series_id WHERE se.study_id = ANY(:ids) AND d.state IN ('stored', 'committed') ORDER BY at DESC
""")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What the list is narrowed to; an empty value narrows nothing. ``actor`` is a part of the name, ``action`` a beginning."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    since: date | None = None
    until: date | None = None

    def conditions(self) -> tuple[list[str], dict[str, Any]]:
        """Return SQL conditions, and the values that they name."""
        values = {name: getattr(self, name) for name in _CONDITIONS if getattr(self, name)}
        for name, pattern in (("actor", "%{}%"), ("action", "{}%")):
            if name in values:
                values[name] = pattern.format(escape_like(values[name]))
        return [_CONDITIONS[name] for name in values], values


@dataclass(frozen=True, slots=True)
class PatientAccess:
    """The data of one patient: ``studies`` that are held, ``views`` by people, ``deliveries`` to destinations."""

    studies: list[Any]
    views: list[Any]
    deliveries: list[Any]


def search_events(database: Database, wanted: AuditFilter, *, before: int | None = None, limit: int = PAGE) -> list[Any]:
    """Return up to ``limit`` events, the newest first; ``before`` continues behind the event with this number."""
    conditions, values = wanted.conditions()
    if before is not None:
        conditions.append("event_id < :before")
        values["before"] = before
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    with database.begin() as connection:
        return list(
            connection.execute(text(f"SELECT * FROM v_audit {where} ORDER BY event_id DESC LIMIT :limit"), {**values, "limit": limit})
        )


def export_events(database: Database, wanted: AuditFilter, *, actor: str, address: str) -> Iterator[Any]:
    """Yield every event that passes, the oldest first. The export is an audit event itself."""
    conditions, values = wanted.conditions()
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    shown = {name: str(value) for name, value in values.items()}
    audit.record_now(database, actor=actor, action="audit.exported", subject="audit", details={"from": address, "filter": shown})
    with database.begin() as connection:
        query = text(f"SELECT * FROM v_audit {where} ORDER BY event_id")
        yield from connection.execution_options(yield_per=FETCH_ROWS).execute(query, values)


def known_actions(database: Database) -> list[str]:
    """Return every action that the trail contains; one index probe for each."""
    with database.begin() as connection:
        return [str(action) for action in connection.execute(_ACTIONS).scalars()]


def patient_access(database: Database, patient_id: str, *, actor: str, address: str) -> PatientAccess:
    """Return who has viewed and who has received the data of a patient; asking for it is an audit event with a keyed reference."""
    with database.begin() as connection:
        studies = list(connection.execute(_STUDIES, {"patient_id": patient_id}))
        ids = [study.id for study in studies]
        views = list(connection.execute(_VIEWS, {"subjects": [f"study:{id}" for id in ids], "ids": ids}))
        deliveries = list(connection.execute(_DELIVERIES, {"ids": ids}))
        reference = audit.patient_reference(database.installation()[1], "", patient_id)
        details = {"from": address, "patient": reference, "studies": len(ids)}
        audit.record(connection, actor=actor, action="patient.access_read", subject="audit", details=details)
    return PatientAccess(studies, views, deliveries)


def last_verified(database: Database) -> datetime | None:
    """Return when the chain was verified the last time by a person; None where it never was."""
    with database.begin() as connection:
        query = text("SELECT at FROM audit_events WHERE action = 'audit.verified' ORDER BY id DESC LIMIT 1")
        found: datetime | None = connection.execute(query).scalar_one_or_none()
    return found
