"""What happened to the data of one patient: who has viewed them, who has received them, and which exports may contain them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db import audit
from db.audit_filter import LISTED_OF_STUDIES
from db.audit_views import PAGE_ROWS
from db.engine import Database
from db.patients.of_studies import STORED_AT, WAS_STORED
from db.worklist.study import VIEWS_OF_A_STUDY

MOST_EXPORTS = 50

_STUDIES = text("""
    SELECT id, study_instance_uid, accession_number, study_date, first_received_at, issuer_of_patient_id
    FROM studies WHERE patient_id = :patient_id ORDER BY id
""")
_JOBS = text("SELECT j.id FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id WHERE se.study_id = ANY(:ids)")
# Views of one study, of lists of studies, and of lists of units, jobs and deliveries, whose events hold the numbers that were shown.
_VIEWS = text(f"""
    WITH wanted AS (SELECT unnest(CAST(:ids AS bigint[])) AS id)
    SELECT e.at, e.actor, e.action, e.subject, e.details ->> 'from' AS address FROM audit_events e
    WHERE e.subject = ANY(:subjects) AND e.action = ANY(:actions)
    UNION ALL
    SELECT e.at, e.actor, e.action, 'study:' || shown.id, e.details ->> 'from' FROM audit_events e
    JOIN wanted AS shown ON e.details -> 'studies' @> to_jsonb(shown.id)
    WHERE e.subject = 'worklist'
    UNION ALL
    SELECT DISTINCT e.at, e.actor, e.action, 'study:' || listed.study_id, e.details ->> 'from' FROM ({LISTED_OF_STUDIES}) AS listed
    JOIN audit_events e ON e.subject = listed.subject AND e.details -> 'ids' @> to_jsonb(listed.id)
    WHERE e.subject IN ('units', 'jobs', 'deliveries')
    ORDER BY at DESC
""")
_DELIVERIES = text(f"""
    SELECT coalesce(d.committed_at, {STORED_AT}) AS at, d.destination, r.kind, r.sop_instance_uid, d.state, j.model, j.model_version,
           'study:' || se.study_id AS subject
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id JOIN units u ON u.id = j.unit_id
    JOIN series se ON se.id = u.series_id WHERE se.study_id = ANY(:ids) AND {WAS_STORED} ORDER BY at DESC
""")
# Files with the data of many patients; their events do not hold whose. A query of more than a page of rows is an export.
_EXPORTS = text("""
    SELECT at, actor, action, subject, details ->> 'from' AS address FROM audit_events
    WHERE action = ANY(:actions) AND at >= (SELECT min(first_received_at) FROM studies WHERE id = ANY(:ids))
      AND (action <> 'view.queried' OR CAST(details ->> 'limit' AS bigint) > :shown)
    ORDER BY id DESC LIMIT :most
""")
_EXPORTING = ("results.exported", "labelled images.exported", "view.queried", "database.backed_up")


@dataclass(frozen=True, slots=True)
class PatientAccess:
    """The data of one patient: ``studies`` that are held, ``views`` by people, ``deliveries`` to destinations.

    ``exports``: the last files with the data of many patients that were made since the first of these studies was received.
    ``issuers`` have given the ID: those of one person each. Of several nothing is returned until one is named.
    """

    studies: list[Any]
    views: list[Any]
    deliveries: list[Any]
    exports: list[Any]
    issuers: list[str]


def patient_access(database: Database, patient_id: str, *, issuer: str | None = None, actor: str, address: str) -> PatientAccess:
    """Return who has viewed and who has received the data of a patient; asking for it is an audit event with a keyed reference.

    ``issuer``: Issuer of Patient ID; None: of whoever has given the ID, where that is one.
    """
    with database.begin() as connection:
        named = list(connection.execute(_STUDIES, {"patient_id": patient_id}))
        issuers = sorted({study.issuer_of_patient_id for study in named})
        wanted = issuers[0] if issuer is None and len(issuers) == 1 else issuer
        studies = [study for study in named if study.issuer_of_patient_id == wanted]
        ids = [study.id for study in studies]
        views = read_views(connection, ids)
        deliveries = list(connection.execute(_DELIVERIES, {"ids": ids}))
        exports = read_exports(connection, ids)
        reference = audit.patient_reference(database.installation()[1], wanted or "", patient_id)
        details = {"from": address, "patient": reference, "studies": len(ids)}
        audit.record(connection, actor=actor, action="patient.access_read", subject="audit", details=details)
    return PatientAccess(studies, views, deliveries, exports, issuers)


def read_views(connection: Connection, studies: list[int]) -> list[Any]:
    """Return who has seen these studies in the console, the latest first, in the caller's transaction."""
    jobs = connection.execute(_JOBS, {"ids": studies}).scalars()
    subjects = [f"study:{id}" for id in studies] + [f"job:{id}" for id in jobs]
    return list(connection.execute(_VIEWS, {"subjects": subjects, "ids": studies, "actions": [*VIEWS_OF_A_STUDY, "job.viewed"]}))


def read_exports(connection: Connection, studies: list[int]) -> list[Any]:
    """Return the last exports since the first of these studies was received, in the caller's transaction; none without studies."""
    values = {"actions": list(_EXPORTING), "ids": studies, "shown": PAGE_ROWS, "most": MOST_EXPORTS}
    return list(connection.execute(_EXPORTS, values))
