"""What the erasure of a person would delete, what forbids it now, and which copies are elsewhere. Nothing is changed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db.engine import Database
from db.patients.of_studies import (
    COMMITMENT_REQUESTS,
    IMAGES,
    IN_OTHER_STUDIES,
    JOBS,
    MAY_BE_STORED,
    OF_ANOTHER_PERSON,
    OF_STUDIES,
    UNITS,
    UPLOADED_FILES,
)
from db.patients.patient_key import PatientKey
from db.patients.saved_searches import find_saved_searches

_STUDIES = text("""
    SELECT id, patient_name FROM studies WHERE patient_id = :patient_id AND issuer_of_patient_id = :issuer ORDER BY id
""")
_DELIVERIES = f"deliveries d JOIN {JOBS} ON j.id = d.job_id {OF_STUDIES}"
_ASSESSMENTS = f"assessments a JOIN {JOBS} ON j.id = a.job_id {OF_STUDIES}"
_DELETED = {
    "series": f"SELECT count(*) FROM series se {OF_STUDIES}",
    "units": f"SELECT count(*) FROM {UNITS} {OF_STUDIES}",
    "images": f"SELECT count(*) FROM {IMAGES} {OF_STUDIES}",
    "analyses": f"SELECT count(*) FROM {JOBS} {OF_STUDIES}",
    "findings": f"SELECT count(*) FROM findings f JOIN {JOBS} ON j.id = f.job_id {OF_STUDIES}",
    "objects": f"SELECT count(*) FROM reports r JOIN {JOBS} ON j.id = r.job_id {OF_STUDIES}",
    "overlays": f"SELECT count(*) FROM result_overlays o JOIN {JOBS} ON j.id = o.job_id {OF_STUDIES}",
    "deliveries": f"SELECT count(*) FROM {_DELIVERIES}",
    "verdicts": f"SELECT count(*) FROM verdicts v JOIN {JOBS} ON j.id = v.job_id {OF_STUDIES}",
    "uploaded_files": f"SELECT count(*) FROM {UPLOADED_FILES}",
    "commitment_requests": f"SELECT count(*) FROM ({COMMITMENT_REQUESTS}) AS requests",
    "quarantined": "SELECT count(*) FROM quarantine WHERE id = ANY(CAST(:quarantined AS bigint[]))",
}
_OF_FILES = f"FROM (SELECT f.state FROM {UPLOADED_FILES}) AS files"
_BUSY = {
    "analyses that run": f"SELECT count(*) FROM {JOBS} {OF_STUDIES} AND j.state = 'running'",
    "deliveries that are being sent": f"SELECT count(*) FROM {_DELIVERIES} AND d.state = 'sending'",
    "assessments that are being made": f"SELECT count(*) FROM {_ASSESSMENTS} AND a.state = 'encoding'",
    "uploaded files that are being read": f"SELECT count(*) {_OF_FILES} WHERE state = 'taking'",
}
_WAITING = {
    "series or images that are not complete": f"SELECT count(*) FROM {UNITS} {OF_STUDIES} AND u.state = 'open'",
    "images whose content is not compared yet": f"SELECT count(*) FROM {IMAGES} {OF_STUDIES} AND i.state = 'undecided'",
    "analyses that wait": f"""
        SELECT count(*) FROM {JOBS} {OF_STUDIES} AND (j.state = 'queued' OR j.failure_state IS NOT NULL AND j.state <> 'running')
    """,
    "deliveries that wait": f"SELECT count(*) FROM {_DELIVERIES} AND d.state = 'pending'",
    "deliveries that wait for storage commitment": f"SELECT count(*) FROM {_DELIVERIES} AND d.state = 'stored' AND d.commit_wanted",
    "assessments that wait": f"SELECT count(*) FROM {_ASSESSMENTS} AND a.state = 'queued'",
    "storage commitment requests that wait for their answer": f"""
        SELECT count(*) FROM ({COMMITMENT_REQUESTS}) AS listed WHERE listed.state = 'pending'
    """,
    "uploaded files that wait": f"SELECT count(*) {_OF_FILES} WHERE state IN ('receiving', 'received')",
}
# Rejections are sent too: the destination has them.
_SENT = text(f"""
    SELECT d.destination, r.kind, r.sop_instance_uid, r.series_instance_uid, st.study_instance_uid
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN {JOBS} ON j.id = d.job_id JOIN studies st ON st.id = se.study_id
    {OF_STUDIES} AND {MAY_BE_STORED} ORDER BY d.destination, d.id
""")
_MIXED = f"SELECT count(*) FROM {IMAGES} {OF_STUDIES} AND {OF_ANOTHER_PERSON}"
_ELSEWHERE = f"SELECT count(*) FROM {IN_OTHER_STUDIES}"


@dataclass(frozen=True, slots=True)
class SentObject:
    """A result object that a destination holds, or may hold: the node cannot recall it."""

    destination: str
    kind: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What an erasure would do.

    Attributes
    ----------
    counts
        How many rows of each kind would be deleted.
    sent
        What destinations hold.
    busy, waiting
        What works with the data now, and what waits to do so, each with its number; kinds without any are left out.
    mixed
        Images of these studies whose own header names another person.
    elsewhere
        Images in studies of other persons whose own header names this person: they stay.
    names
        Names of the person, as the studies have them.
    """

    studies: tuple[int, ...]
    counts: Mapping[str, int]
    sent: tuple[SentObject, ...]
    busy: Mapping[str, int]
    waiting: Mapping[str, int]
    mixed: int
    elsewhere: int
    names: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to delete."""
        return not any(self.counts.values())


def plan_erasure(database: Database, patient: PatientKey, quarantined: Sequence[int] = ()) -> ErasurePlan:
    """Return what the erasure of a person would do; ``quarantined``: refused data sets of this person."""
    values: dict[str, Any] = {"patient_id": patient.patient_id, "issuer": patient.issuer, "quarantined": list(quarantined)}
    with database.begin() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        studies = connection.execute(_STUDIES, {"patient_id": patient.patient_id, "issuer": patient.issuer}).all()
        values["studies"] = [study.id for study in studies]
        counts = {"studies": len(studies), **{what: _count(connection, query, values) for what, query in _DELETED.items()}}
        counts["saved_searches"] = len(find_saved_searches(connection, patient, values["studies"]))
        busy = {what: count for what, query in _BUSY.items() if (count := _count(connection, query, values))}
        waiting = {what: count for what, query in _WAITING.items() if (count := _count(connection, query, values))}
        sent = tuple(SentObject(*row) for row in connection.execute(_SENT, {"studies": values["studies"]}))
        mixed, elsewhere = _count(connection, _MIXED, values), _count(connection, _ELSEWHERE, values)
    names = tuple(sorted({study.patient_name for study in studies} - {""}))
    return ErasurePlan(tuple(values["studies"]), counts, sent, busy, waiting, mixed, elsewhere, names)


def _count(connection: Connection, query: str, values: Mapping[str, Any]) -> int:
    wanted = text(query)
    return int(connection.execute(wanted, {name: values[name] for name in wanted.compile().params}).scalar_one())
