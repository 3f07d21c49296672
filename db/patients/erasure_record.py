"""The row of an erasure: begun, counted, and ended. It has no identity of the person, and lets an interrupted erasure be continued."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from core.counted import counted
from core.errors import NodeError
from core.failpoints import failpoint
from db import audit
from db.engine import Database
from db.patients.erasure_plan import ErasurePlan, SentObject
from db.patients.of_studies import JOBS, MAY_BE_STORED
from db.patients.patient_key import PatientKey

_LOCK = 0x6572617365  # "erase": one process at a time begins or continues an erasure
_OPEN = "SELECT id, studies, sent FROM erasures WHERE patient = :patient AND finished_at IS NULL"
_BEGIN = text("""
    INSERT INTO erasures (patient, issuer, actor, reason, studies, sent)
    VALUES (:patient, :issuer, :actor, :reason, :studies, CAST(:sent AS jsonb)) RETURNING id
""")
_UNDER_WAY = text("SELECT studies, counts FROM erasures WHERE id = :id AND finished_at IS NULL")
_CONTINUE = text("UPDATE erasures SET studies = :studies, sent = CAST(:sent AS jsonb) WHERE id = :id")
_COUNT = text("""
    UPDATE erasures e SET counts = (
        SELECT jsonb_object_agg(part.key, part.total) FROM (
            SELECT key, sum(CAST(value AS bigint)) AS total
            FROM (SELECT * FROM jsonb_each_text(e.counts) UNION ALL SELECT * FROM jsonb_each_text(CAST(:more AS jsonb))) AS parts
            GROUP BY key) AS part)
    WHERE id = :id
""")
_END = text("""
    UPDATE erasures SET finished_at = node_now(), sent = '[]' WHERE id = :id AND finished_at IS NULL
    RETURNING patient, reason, counts
""")
# What was sent since the erasure began, of an analysis that is deleted in the same transaction.
_KEEP_SENT = text(f"""
    UPDATE erasures e SET sent = e.sent || (
        SELECT coalesce(jsonb_agg(jsonb_build_object('destination', d.destination, 'kind', r.kind, 'sop_instance_uid', r.sop_instance_uid,
            'series_instance_uid', r.series_instance_uid, 'study_instance_uid', st.study_instance_uid) ORDER BY d.id), '[]')
        FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN {JOBS} ON j.id = d.job_id JOIN studies st ON st.id = se.study_id
        WHERE j.id = :job AND {MAY_BE_STORED} AND NOT e.sent @> jsonb_build_array(jsonb_build_object(
            'destination', d.destination, 'sop_instance_uid', r.sop_instance_uid)))
    WHERE e.id = :id
""")
_SENT = text("SELECT sent FROM erasures WHERE id = :id")
_LEFT = text("SELECT count(*) FROM studies WHERE id = ANY(CAST(:studies AS bigint[]))")
# Of other erasures too, and of retention, which may be removing them now: the lock waits for that. Not those requested since.
_FILES_LEFT = text("""
    SELECT count(*) FROM (
        SELECT r.sha256 FROM blob_removals r JOIN erasures e ON r.requested_at >= e.begun_at
        WHERE e.id = :id AND r.requested_at <= :until AND r.removed_at IS NULL FOR SHARE OF r) AS files
""")


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that is under way: the numbers of its studies, of which some may be gone, and what was deleted when it was read."""

    id: int
    studies: tuple[int, ...]
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FinishedErasure:
    """What was erased: ``counts`` of rows and files by kind, and what destinations hold, which was ``sent``."""

    counts: Mapping[str, int]
    sent: tuple[SentObject, ...]


def begin_erasure(database: Database, patient: PatientKey, plan: ErasurePlan, *, actor: str, reason: str) -> Erasure:
    """Record that an erasure begins, before anything is deleted; one of this person that was interrupted is continued.

    Studies that were received since the interruption are erased too.
    """
    reference = patient.reference(database)
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = connection.execute(text(f"{_OPEN} FOR UPDATE"), {"patient": reference}).one_or_none()
        before = () if found is None else tuple(SentObject(**sent) for sent in found.sent)
        sent = tuple(dict.fromkeys((*before, *plan.sent)))
        studies = sorted({*plan.studies, *(() if found is None else found.studies)})
        values = {"studies": studies, "sent": json.dumps([asdict(one) for one in sent])}
        if found is None:
            values |= {"patient": reference, "issuer": patient.issuer, "actor": actor, "reason": reason}
            id = int(connection.execute(_BEGIN, values).scalar_one())
        else:
            id = int(found.id)
            connection.execute(_CONTINUE, {**values, "id": id})
        action = "patient.erasure_begun" if found is None else "patient.erasure_continued"
        details = {"patient": reference, "reason": reason, "studies": len(plan.studies)}
        audit.record(connection, actor=actor, action=action, subject=f"erasure:{id}", details=details)
    failpoint("erase.begun")
    return Erasure(id, tuple(studies))


def read_erasure(database: Database, id: int) -> Erasure:
    """Return an erasure that is under way, with the counts of what was deleted so far.

    Raises
    ------
    NodeError
        It has ended: another process has continued it to its end.
    """
    with database.begin() as connection:
        row = connection.execute(_UNDER_WAY, {"id": id}).one_or_none()
    if row is None:
        raise _ended_by_another()
    return Erasure(id, tuple(row.studies), {str(what): int(count) for what, count in row.counts.items()})


def has_open_erasure(database: Database, patient: PatientKey) -> bool:
    """Whether an erasure of this person was interrupted."""
    reference = patient.reference(database)
    with database.begin() as connection:
        return connection.execute(text(_OPEN), {"patient": reference}).one_or_none() is not None


def count_deleted(connection: Connection, erasure: Erasure, deleted: Mapping[str, int]) -> None:
    """Add to the counts of an erasure in the transaction that deletes."""
    more = {what: count for what, count in deleted.items() if count}
    if more:
        connection.execute(_COUNT, {"id": erasure.id, "more": json.dumps(more)})


def keep_sent(connection: Connection, erasure: Erasure, job: int) -> None:
    """Keep what destinations hold of an analysis, in the transaction that deletes it: more may have been sent since the erasure began."""
    connection.execute(_KEEP_SENT, {"id": erasure.id, "job": job})


def finish_erasure(database: Database, erasure: Erasure, until: datetime, *, actor: str) -> FinishedErasure:
    """Record that everything is deleted; return what was, and what destinations hold.

    ``until``: when the last row was deleted, by the database's clock; the files that were requested to be removed until then are gone.

    Raises
    ------
    NodeError
        A study or a file of the erasure is still there, or another process has ended the erasure.
    """
    with database.begin() as connection:
        left = int(connection.execute(_LEFT, {"studies": list(erasure.studies)}).scalar_one())
        files = int(connection.execute(_FILES_LEFT, {"id": erasure.id, "until": until}).scalar_one())
        if left or files:
            raise NodeError(f"{counted(left, 'study', 'studies')} and {counted(files, 'file')} are left", hint="run the command again")
        sent = tuple(SentObject(**one) for one in connection.execute(_SENT, {"id": erasure.id}).scalar_one())
        row = connection.execute(_END, {"id": erasure.id}).one_or_none()
        if row is None:
            raise _ended_by_another()
        counts = {str(what): int(count) for what, count in sorted(row.counts.items())}
        details = {"patient": row.patient, "reason": row.reason, "deleted": counts}
        audit.record(connection, actor=actor, action="patient.erased", subject=f"erasure:{erasure.id}", details=details)
    return FinishedErasure(counts, sent)


def _ended_by_another() -> NodeError:
    return NodeError("another process has ended this erasure", hint="see `dicom-node patients access`")
