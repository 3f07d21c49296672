"""Search in the audit trail, and what happened to the data of one patient: who has viewed them, and who has received them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from db import audit
from db.audit_filter import AuditFilter
from db.engine import Database
from db.worklist.study import VIEWS_OF_A_STUDY

PAGE = 100
FETCH_ROWS = 500

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
    WHERE e.subject = ANY(:subjects) AND e.action = ANY(:actions)
    UNION ALL
    SELECT e.at, e.actor, e.action, 'study:' || shown.id, e.details ->> 'from' FROM audit_events e
    JOIN unnest(CAST(:ids AS bigint[])) AS shown (id) ON e.details -> 'studies' @> to_jsonb(shown.id)
    WHERE e.subject = 'worklist'
    ORDER BY at DESC
""")
_VERIFIED = text("""
    SELECT at, actor, details FROM audit_events WHERE subject = 'audit' AND action = 'audit.verified' ORDER BY id DESC LIMIT 1
""")
_JOBS = text("SELECT j.id FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id WHERE se.study_id = ANY(:ids)")
_DELIVERIES = text("""
    SELECT coalesce(d.committed_at, d.stored_at) AS at, d.destination, r.kind, r.sop_instance_uid, d.state, j.model, j.model_version,
           'study:' || se.study_id AS subject
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id JOIN units u ON u.id = j.unit_id
    JOIN series se ON se.id = u.series_id WHERE se.study_id = ANY(:ids) AND d.state IN ('stored', 'committed') ORDER BY at DESC
""")


@dataclass(frozen=True, slots=True)
class Verification:
    """The last verification of the chain by a person: the chain was whole up to event ``chained``, or broken at event ``broken``.

    ``anchor`` is why it did not fit its anchors, or "".
    """

    at: datetime
    actor: str
    chained: int
    broken: int | None
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class PatientAccess:
    """The data of one patient: ``studies`` that are held, ``views`` by people, ``deliveries`` to destinations."""

    studies: list[Any]
    views: list[Any]
    deliveries: list[Any]


def search_events(database: Database, wanted: AuditFilter, *, before: int | None = None, limit: int = PAGE) -> list[Any]:
    """Return up to ``limit`` events, the newest first; ``before`` continues behind the event with this number."""
    query, values = wanted.query(database, before=before)
    with database.begin() as connection:
        return list(connection.execute(text(f"{query} ORDER BY event_id DESC LIMIT :limit"), {**values, "limit": limit}))


def export_events(database: Database, wanted: AuditFilter, *, actor: str, address: str) -> Iterator[Any]:
    """Yield every event that passes, the oldest first. The export is an audit event itself."""
    query, values = wanted.query(database)
    hidden = {"patient_id", "actors"}  # the trail holds no patient identifier: its keyed reference stands for it
    shown = {name: str(value) for name, value in values.items() if name not in hidden}
    audit.record_now(database, actor=actor, action="audit.exported", subject="audit", details={"from": address, "filter": shown})
    with database.begin() as connection:
        yield from connection.execution_options(yield_per=FETCH_ROWS).execute(text(f"{query} ORDER BY event_id"), values)


def known_actions(database: Database) -> list[str]:
    """Return every action that the trail contains; one index probe for each."""
    with database.begin() as connection:
        return [str(action) for action in connection.execute(_ACTIONS).scalars()]


def patient_access(database: Database, patient_id: str, *, actor: str, address: str) -> PatientAccess:
    """Return who has viewed and who has received the data of a patient; asking for it is an audit event with a keyed reference."""
    with database.begin() as connection:
        studies = list(connection.execute(_STUDIES, {"patient_id": patient_id}))
        ids = [study.id for study in studies]
        subjects = [f"study:{id}" for id in ids] + [f"job:{id}" for id in connection.execute(_JOBS, {"ids": ids}).scalars()]
        views = list(connection.execute(_VIEWS, {"subjects": subjects, "ids": ids, "actions": [*VIEWS_OF_A_STUDY, "job.viewed"]}))
        deliveries = list(connection.execute(_DELIVERIES, {"ids": ids}))
        reference = audit.patient_reference(database.installation()[1], "", patient_id)
        details = {"from": address, "patient": reference, "studies": len(ids)}
        audit.record(connection, actor=actor, action="patient.access_read", subject="audit", details=details)
    return PatientAccess(studies, views, deliveries)


def verify_chain(database: Database, anchor_file: Path, public_key: Path, *, actor: str) -> audit.ChainCheck:
    """Walk the chain from its first event and compare it with its anchors; that it was done, and the result, is an audit event.

    Raises
    ------
    ConfigurationError
        There are anchors, and their public key cannot be read.
    StorageError
        The database or the file of the anchors is unavailable.
    """
    from db.anchor.verification import verify_with_anchors  # cryptography, which no other query needs

    found = verify_with_anchors(database, anchor_file, public_key)
    details = {"events": found.events, "chained": found.chained, "broken": found.broken, "anchor": found.anchor_problem}
    audit.record_now(database, actor=actor, action="audit.verified", subject="audit", details=details)
    return found


def last_verification(database: Database) -> Verification | None:
    """Return the last verification by a person; None where there was none."""
    with database.begin() as connection:
        row = connection.execute(_VERIFIED).one_or_none()
    return (
        None
        if row is None
        else Verification(row.at, row.actor, row.details["chained"], row.details["broken"], str(row.details.get("anchor", "")))
    )
