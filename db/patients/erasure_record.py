"""The row of an erasure: begun, counted, and ended. It has no identity of the person, and lets an interrupted erasure be continued."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

from core.counted import counted
from core.errors import NodeError
from core.failpoints import failpoint
from db import audit
from db.engine import Database
from db.patients.erasure_plan import ErasurePlan, SentObject
from db.patients.patient_key import PatientKey

_LOCK = 0x6572617365  # "erase": one process at a time begins or continues an erasure
_OPEN = text("SELECT id, studies, sent, counts FROM erasures WHERE patient = :patient AND finished_at IS NULL")
_BEGIN = text("""
    INSERT INTO erasures (patient, issuer, actor, reason, studies, sent)
    VALUES (:patient, :issuer, :actor, :reason, :studies, CAST(:sent AS jsonb)) RETURNING id
""")
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
_LEFT = text("SELECT count(*) FROM studies WHERE id = ANY(CAST(:studies AS bigint[]))")
_FILES_LEFT = text("""
    SELECT count(*) FROM blob_removals r JOIN erasures e ON r.requested_at >= e.begun_at WHERE e.id = :id AND r.removed_at IS NULL
""")


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that is under way: the numbers of its studies, of which some may be gone, and what destinations hold of them."""

    id: int
    studies: tuple[int, ...]
    sent: tuple[SentObject, ...]
    continued: bool


def begin_erasure(database: Database, patient: PatientKey, plan: ErasurePlan, *, actor: str, reason: str) -> Erasure:
    """Record that an erasure begins, before anything is deleted; one of this person that was interrupted is continued.

    Studies that were received since the interruption are erased too.
    """
    reference = patient.reference(database)
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = connection.execute(_OPEN, {"patient": reference}).one_or_none()
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
    return Erasure(id, tuple(studies), sent, continued=found is not None)


def has_open_erasure(database: Database, patient: PatientKey) -> bool:
    """Whether an erasure of this person was interrupted."""
    reference = patient.reference(database)
    with database.begin() as connection:
        return connection.execute(_OPEN, {"patient": reference}).one_or_none() is not None


def count_deleted(connection: Connection, erasure: Erasure, deleted: Mapping[str, int]) -> None:
    """Add to the counts of an erasure in the transaction that deletes."""
    more = {what: count for what, count in deleted.items() if count}
    if more:
        connection.execute(_COUNT, {"id": erasure.id, "more": json.dumps(more)})


def finish_erasure(database: Database, erasure: Erasure, *, actor: str) -> Mapping[str, int]:
    """Record that everything is deleted; return how many rows and files were, by kind.

    Raises
    ------
    NodeError
        A study or a file of the erasure is still there, or another process has ended the erasure.
    """
    with database.begin() as connection:
        left = int(connection.execute(_LEFT, {"studies": list(erasure.studies)}).scalar_one())
        files = int(connection.execute(_FILES_LEFT, {"id": erasure.id}).scalar_one())
        if left or files:
            raise NodeError(f"{counted(left, 'study', 'studies')} and {counted(files, 'file')} are left", hint="run the command again")
        row = connection.execute(_END, {"id": erasure.id}).one_or_none()
        if row is None:
            raise NodeError("another process has ended this erasure", hint="see `dicom-node patients access`")
        counts = {str(what): int(count) for what, count in sorted(row.counts.items())}
        details = {"patient": row.patient, "reason": row.reason, "deleted": counts}
        audit.record(connection, actor=actor, action="patient.erased", subject=f"erasure:{erasure.id}", details=details)
    return counts


def existing_units(database: Database, ids: Sequence[int]) -> frozenset[int]:
    """Return which of these numbers are those of units: copies of others may be deleted."""
    with database.begin() as connection:
        found = connection.execute(text("SELECT id FROM units WHERE id = ANY(CAST(:ids AS bigint[]))"), {"ids": list(ids)})
        return frozenset(found.scalars())
