"""Everything that the node stores of one person, for the answer to a person who asks (GDPR Art. 15). Reading it is an audit event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from db import audit
from db.engine import Database
from db.patient_access import read_exports, read_views
from db.patients.of_studies import (
    COMMITMENT_REQUESTS,
    IMAGES,
    IN_OTHER_STUDIES,
    JOBS,
    OF_ANOTHER_PERSON,
    OF_STUDIES,
    STORED_AT,
    UNITS,
    UPLOADED_FILES,
    WAS_STORED,
)
from db.patients.patient_key import PatientKey
from db.row_values import row_to_json

Rows = list[dict[str, Any]]

_STUDIES = text("""
    SELECT id, study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex, accession_number,
           study_id, study_date, study_time, study_description, first_received_at
    FROM studies WHERE patient_id = :patient_id AND issuer_of_patient_id = :issuer ORDER BY id
""")
_PARTS = {
    "series": f"""
        SELECT se.id, se.study_id, se.series_instance_uid, se.modality, se.series_number, se.series_description, se.body_part_examined
        FROM series se {OF_STUDIES} ORDER BY se.id
    """,
    "units": f"""
        SELECT u.id, se.study_id, u.series_id, u.kind, u.sop_instance_uid, u.state, u.revision, u.source, u.first_received_at,
               u.last_received_at, u.completed_at, u.routes, u.evidence, u.outcome, u.reason
        FROM {UNITS} {OF_STUDIES} ORDER BY u.id
    """,
    "images": f"""
        SELECT i.id, se.study_id, i.unit_id, i.sop_instance_uid, i.sop_class_uid, i.transfer_syntax_uid, i.sha256, i.size_bytes, i.state,
               CASE WHEN {OF_ANOTHER_PERSON} THEN CAST('{{}}' AS jsonb) ELSE i.header END AS header,
               {OF_ANOTHER_PERSON} AS of_another_person,
               i.notes, i.source, a.address AS source_address, i.received_at, i.duplicates, i.removed_at
        FROM {IMAGES} LEFT JOIN associations a ON a.id = i.association_id {OF_STUDIES} ORDER BY i.id
    """,
    "images_in_other_studies": f"""
        SELECT i.id, st.study_instance_uid, i.sop_instance_uid, i.sha256, i.size_bytes, i.source, i.received_at, i.removed_at
        FROM {IN_OTHER_STUDIES} ORDER BY i.id
    """,
    "analyses": f"""
        SELECT j.id, se.study_id, j.unit_id, j.revision, j.run, j.model, j.model_version, j.pipeline_digest, j.identity,
               j.prior_rule, j.priors_chosen_at,
               coalesce(j.identity ->> 'status', m.status, '') AS status, coalesce(j.identity ->> 'not_for', m.not_for, '') AS not_for,
               j.shadow, j.state, j.outcome, j.reason, j.looked_for, j.probabilities, j.notes, j.scanner, j.routes, j.destinations,
               j.queued_at, j.started_at, j.inferred_at, j.reported_at, j.delivered_at, j.superseded_by
        FROM {JOBS} LEFT JOIN models m ON m.digest = j.pipeline_digest {OF_STUDIES} ORDER BY j.id
    """,
    "findings": f"SELECT f.* FROM findings f JOIN {JOBS} ON j.id = f.job_id {OF_STUDIES} ORDER BY f.job_id, f.ordinal",
    "comparisons": f"SELECT p.* FROM job_priors p JOIN {JOBS} ON j.id = p.job_id {OF_STUDIES} ORDER BY p.job_id, p.place",
    "objects": f"""
        SELECT r.id, se.study_id, r.job_id, r.kind, r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid, r.sha256, r.size_bytes,
               r.created_at, r.removed_at
        FROM reports r JOIN {JOBS} ON j.id = r.job_id {OF_STUDIES} ORDER BY r.id
    """,
    "overlays": f"""
        SELECT o.id, o.job_id, o.sha256, o.size_bytes, o.created_at, o.removed_at
        FROM result_overlays o JOIN {JOBS} ON j.id = o.job_id {OF_STUDIES} ORDER BY o.id
    """,
    "deliveries": f"""
        SELECT d.id, d.job_id, d.report_id, r.kind, r.sop_instance_uid, d.destination, d.state, {WAS_STORED} AS was_stored,
               {STORED_AT} AS stored_at, d.committed_at, d.note
        FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN {JOBS} ON j.id = d.job_id {OF_STUDIES} ORDER BY d.id
    """,
    "verdicts": f"SELECT v.* FROM verdicts v JOIN {JOBS} ON j.id = v.job_id {OF_STUDIES} ORDER BY v.id",
    "releases": f"SELECT l.* FROM result_releases l JOIN {JOBS} ON j.id = l.job_id {OF_STUDIES} ORDER BY l.id",
    "commitment_requests": f"""
        SELECT found.id, found.source, found.state, found.received_at, found.answered_at, found.instances
        FROM ({COMMITMENT_REQUESTS}) AS found ORDER BY found.id
    """,
    "uploads": f"""
        SELECT f.id, f.upload_id, p.actor, p.statement, p.created_at, f.name, f.size_bytes, f.state
        FROM {UPLOADED_FILES} ORDER BY f.id
    """,
    "quarantined": """
        SELECT id, sha256, size_bytes, reason, sop_class_uid, sop_instance_uid, source, first_at, last_at, times
        FROM quarantine WHERE id = ANY(:quarantined) ORDER BY id
    """,
    # What retention has deleted: the events are about units.
    "deletions": f"""
        SELECT e.at, e.actor, e.subject, e.details FROM audit_events e
        WHERE e.action = 'retention.removed' AND e.subject IN (SELECT 'unit:' || u.id FROM {UNITS} {OF_STUDIES}) ORDER BY e.id
    """,
    # Earlier reports on this person, and erasures.
    "events_of_the_person": """
        SELECT e.at, e.actor, e.action, e.details FROM audit_events e
        WHERE e.details ->> 'patient' = :reference AND e.action LIKE 'patient.%' ORDER BY e.id
    """,
    "archived_months": "SELECT name, ends_at, file FROM audit_months WHERE archived_at IS NOT NULL ORDER BY ends_at",
}
_NOW = text("SELECT node_now()")


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """What is stored of one person. ``parts``: name of a list -> its rows, which refer to each other by the ids of their tables.

    ``views``: who has seen the data in the console. ``exports``: the last files with the data of many persons that may contain these.
    """

    patient: PatientKey
    made_at: datetime
    studies: Rows
    parts: Mapping[str, Rows]
    views: Rows
    exports: Rows


def read_record(
    database: Database, patient: PatientKey, quarantined: Sequence[int] = (), *, actor: str, with_images: bool = False
) -> PatientRecord:
    """Return everything that is stored of a person; that it was read is an audit event with a keyed reference.

    Parameters
    ----------
    quarantined
        Refused data sets of this person: their rows do not say whose they are.
    with_images
        The files are handed out too; for the audit event.
    """
    reference = patient.reference(database)
    with database.begin() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        studies = _rows(connection, _STUDIES.text, {"patient_id": patient.patient_id, "issuer": patient.issuer})
        ids = [study["id"] for study in studies]
        values = {"studies": ids, "patient_id": patient.patient_id, "issuer": patient.issuer, "reference": reference}
        parts = {name: _rows(connection, query, {**values, "quarantined": list(quarantined)}) for name, query in _PARTS.items()}
        views = [row_to_json(row) for row in read_views(connection, ids)]
        exports = [row_to_json(row) for row in read_exports(connection, ids)]
        made_at = connection.execute(_NOW).scalar_one()
        details = {"patient": reference, "studies": len(ids), "images": len(parts["images"]), "files": with_images}
        audit.record(connection, actor=actor, action="patient.record_read", subject="patient", details=details)
    return PatientRecord(patient, made_at, studies, parts, views, exports)


def _rows(connection: Connection, query: str, values: Mapping[str, Any]) -> Rows:
    wanted = text(query)
    return [row_to_json(row) for row in connection.execute(wanted, {name: values[name] for name in wanted.compile().params})]
