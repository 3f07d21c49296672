"""What a search in the audit trail is narrowed to: by user, action, subject, patient, study, object and day."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import text

from db.engine import Database
from db.patients.patient_key import references_of_id
from db.row_values import escape_like

LONGEST_NUMBER = 18  # digits that every bigint can hold

_ABOUT = ("patient_id", "study", "object")
# As an array, so that the events are found by their numbers and the trail is not read from its end.
_AMONG = "event_id = ANY(ARRAY(SELECT event_id FROM about))"
_CONDITIONS = {
    "actor": "actor = ANY(:actors)",
    "action": "action LIKE :action",
    "subject": "subject = :subject",
    "patient_id": _AMONG,
    "study": _AMONG,
    "object": _AMONG,
    "since": "at >= :since",
    "until": "at < CAST(:until AS date) + 1",
}
# Every actor of the trail, by one look into the index for each.
_ACTORS = text("""
    WITH RECURSIVE found (actor) AS (
        (SELECT actor FROM audit_events ORDER BY actor LIMIT 1)
        UNION ALL SELECT (SELECT e.actor FROM audit_events e WHERE e.actor > found.actor ORDER BY e.actor LIMIT 1)
        FROM found WHERE found.actor IS NOT NULL)
    SELECT actor FROM found WHERE actor ILIKE :actor
""")
_STUDIES_OF = {
    "patient_id": "SELECT id FROM studies WHERE patient_id = :patient_id",
    "study": """SELECT id FROM studies WHERE study_instance_uid = :study
                UNION SELECT id FROM studies WHERE id = CAST(:study_number AS bigint)""",
}
LISTED_OF_STUDIES = """
            SELECT 'units' AS subject, u.id, st.id AS study_id FROM wanted st JOIN series se ON se.study_id = st.id
                JOIN units u ON u.series_id = se.id
            UNION ALL SELECT 'jobs', j.id, st.id FROM wanted st JOIN series se ON se.study_id = st.id JOIN units u ON u.series_id = se.id
                JOIN jobs j ON j.unit_id = u.id
            UNION ALL SELECT 'deliveries', d.id, st.id FROM wanted st JOIN series se ON se.study_id = st.id
                JOIN units u ON u.series_id = se.id JOIN jobs j ON j.unit_id = u.id JOIN deliveries d ON d.job_id = j.id
"""
"""Units, jobs and deliveries of the studies ``wanted``, each with the subject of the events that say which of them a list has shown."""
# Events whose subject is one of these studies, or a unit, job or delivery of it, and views of lists in which it was shown.
_ABOUT_STUDIES = f"""
        SELECT e.id AS event_id FROM audit_events e WHERE e.subject IN (
            SELECT 'study:' || st.id FROM wanted st
            UNION ALL SELECT 'unit:' || u.id FROM wanted st JOIN series se ON se.study_id = st.id JOIN units u ON u.series_id = se.id
            UNION ALL SELECT 'job:' || j.id FROM wanted st JOIN series se ON se.study_id = st.id JOIN units u ON u.series_id = se.id
                JOIN jobs j ON j.unit_id = u.id
            UNION ALL SELECT 'delivery:' || d.id FROM wanted st JOIN series se ON se.study_id = st.id JOIN units u ON u.series_id = se.id
                JOIN jobs j ON j.unit_id = u.id JOIN deliveries d ON d.job_id = j.id)
        UNION ALL SELECT e.id FROM wanted st JOIN audit_events e ON e.subject = 'worklist' AND e.details -> 'studies' @> to_jsonb(st.id)
        UNION ALL SELECT e.id FROM ({LISTED_OF_STUDIES}) AS listed JOIN audit_events e ON e.subject = listed.subject
            AND e.details -> 'ids' @> to_jsonb(listed.id) WHERE e.subject IN ('units', 'jobs', 'deliveries')
"""
# Events that carry a keyed reference of the patient.
_OF_PATIENT = "UNION ALL SELECT id FROM audit_events WHERE details ->> 'patient' = ANY(:patients)"
# Events of the deliveries of one result object, and those that name its hash.
_ABOUT_OBJECT = """
    wanted AS (SELECT id, sha256 FROM reports WHERE sop_instance_uid = :object OR sha256 = :object),
    about AS (
        SELECT e.id AS event_id FROM audit_events e
        WHERE e.subject IN (SELECT 'delivery:' || d.id FROM wanted r JOIN deliveries d ON d.report_id = r.id)
        UNION ALL SELECT e.id FROM wanted r JOIN reports o ON o.id = r.id JOIN jobs j ON j.id = o.job_id
            JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id
            JOIN audit_events e ON e.subject IN ('job:' || j.id, 'study:' || se.study_id)
            WHERE e.subject = 'job:' || j.id OR e.details ->> 'sha256' = r.sha256)
"""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What the list is narrowed to; an empty value narrows nothing.

    ``actor`` is a part of the name, ``action`` a beginning. ``study`` is a number or a Study Instance UID, ``object`` the SOP Instance UID
    or the SHA-256 of a result object; ``patient_id`` or ``study`` or ``object`` is used, the first that is given.
    """

    actor: str = ""
    action: str = ""
    subject: str = ""
    patient_id: str = ""
    study: str = ""
    object: str = ""
    since: date | None = None
    until: date | None = None

    def query(self, database: Database, *, before: int | None = None) -> tuple[str, dict[str, Any]]:
        """Return a SELECT over v_audit without order, and its values."""
        values = {name: getattr(self, name) for name in _CONDITIONS if getattr(self, name)}
        about = next((name for name in _ABOUT if name in values), None)
        conditions = [_CONDITIONS[name] for name in values if name == about or name not in _ABOUT]
        if "action" in values:
            values["action"] = f"{escape_like(values['action'])}%"
        if "actor" in values:
            with database.begin() as connection:
                values["actors"] = list(connection.execute(_ACTORS, {"actor": f"%{escape_like(self.actor)}%"}).scalars())
        if "patient_id" in values:
            values["patients"] = references_of_id(database, self.patient_id)
        if "study" in values:  # not decided in SQL: a literal is cast when the statement is planned, whatever CASE says
            values["study_number"] = int(self.study) if self.study.isdecimal() and len(self.study) <= LONGEST_NUMBER else None
        if before is not None:
            conditions.append("event_id < :before")
            values["before"] = before
        if about == "object":
            head = f"WITH {_ABOUT_OBJECT}"
        else:
            named = _OF_PATIENT if about == "patient_id" else ""
            head = "" if about is None else f"WITH wanted AS ({_STUDIES_OF[about]}), about AS ({_ABOUT_STUDIES} {named})"
        return f"{head} SELECT * FROM v_audit {'WHERE ' + ' AND '.join(conditions) if conditions else ''}", values
