"""Admission: indexes a received instance whose bytes are already a blob.

New instances are indexed by the SQL function ``admit_instances`` (db/schema/admission.sql), one or several in one round trip. Content that
is known already, or that differs from the current content of its UID, is handled here.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from core.errors import StorageError
from core.records import InstanceHeader
from core.states import UnitKind
from db import audit
from db.blobs import removals
from db.blobs.blob_ref import BlobRef
from db.complete import content_conflicts
from db.engine import Database
from db.notify import notify
from db.row_values import clean_text, header_to_json

CHECK_AFTER_S = 1.0  # a series that is being received is checked for completion once a second, not at every instance
MOST_TRIES = 3

_ADMIT = """
    SELECT place, new_instance, of_unit, of_revision FROM admit_instances(CAST(%(batch)s AS jsonb), %(check_after_s)s)
"""
_ADD_UNDECIDED = text("""
    INSERT INTO instances (unit_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, sha256, size_bytes, state, revision,
                           header, notes, source, association_id)
    VALUES (:unit_id, :sop_instance_uid, :sop_class_uid, :transfer_syntax_uid, :sha256, :size_bytes, 'undecided', :revision,
            CAST(:header AS jsonb), :notes, :source, CAST(:association_id AS uuid))
    ON CONFLICT DO NOTHING RETURNING id
""")
_COUNT_DUPLICATE = text("""
    UPDATE instances i SET duplicates = duplicates + 1 FROM units u
    WHERE i.sop_instance_uid = :sop_instance_uid AND i.sha256 = :sha256 AND u.id = i.unit_id
    RETURNING i.id, i.unit_id, u.revision,
              i.removed_at IS NOT NULL OR EXISTS (SELECT FROM blob_removals m WHERE m.sha256 = i.sha256) AS removed,
              i.state = 'superseded' OR EXISTS (SELECT FROM instances o WHERE o.sop_instance_uid = i.sop_instance_uid AND o.id <> i.id
                                                AND o.state = 'undecided') AS replaced
""")
_CHECK_UNIT = text("UPDATE units SET changed_since_check = true, next_check_at = node_now() WHERE id = :unit_id AND state = 'open'")


@dataclass(frozen=True, slots=True)
class Arrival:
    """An instance that is to be indexed; its bytes are on disk before the row is committed."""

    header: InstanceHeader
    blob: BlobRef
    kind: UnitKind
    association_id: UUID
    source: str


class AdmissionResult(StrEnum):
    """What an instance was found to be."""

    NEW = "new"  # a new instance
    DUPLICATE = "duplicate"  # the same bytes again: no row, no work
    UNDECIDED = "undecided"  # other bytes than the current ones of a known UID: compared later (db.complete.content_conflicts)


@dataclass(frozen=True, slots=True)
class Admission:
    """The row of an admitted instance, and its unit."""

    result: AdmissionResult
    instance_id: int
    unit_id: int
    revision: int
    removed: bool = False  # its file was removed, or is being removed: see db.blobs.removals.keep_received
    replaced: bool = False  # a duplicate of content in whose place other content has been received since


def admit_instance(
    database: Database, *, header: InstanceHeader, blob: BlobRef, kind: UnitKind, association_id: UUID, source: str
) -> Admission:
    """Index one instance. The row is committed when this returns, and the sender may get Success unless its file was removed.

    The same content again is a duplicate: no row, no work. Other content of a known SOP Instance UID is kept as undecided and compared
    later (`db.complete.content_conflicts`); so is content that other content has replaced since, because the last content that a source
    sends is the one that it means. A new instance of a complete unit begins its next revision.

    Raises
    ------
    StorageError
        The database does not respond; nothing was written.
    """
    arrival, tries = Arrival(header, blob, kind, association_id, source), 1
    while True:
        try:
            return _admit_alone(database, arrival)
        except IntegrityError:  # its study was erased at this moment (`db.patients.erasure`): now it is new
            if tries == MOST_TRIES:
                raise
            tries += 1


def _admit_alone(database: Database, arrival: Arrival) -> Admission:
    secret = database.installation()[1]
    with database.begin() as connection:
        rows = connection.exec_driver_sql(*admission_statement([arrival], secret)).all()
        (admission,) = read_admissions(rows)
        values = _values(arrival, secret)
        admission = admission or _admit_known_uid(connection, values | {"unit_id": rows[0].of_unit, "revision": rows[0].of_revision})
    if admission.result is AdmissionResult.DUPLICATE:  # its row was committed before, so that the removal of its file was looked for
        actor = f"ae:{clean_text(arrival.source)}"
        if admission.replaced and content_conflicts.compare_again(database, admission.instance_id, actor=actor):
            return replace(admission, result=AdmissionResult.UNDECIDED)
        return admission
    return replace(admission, removed=bool(removals.find_requested(database, [arrival.blob.sha256])))


def admission_statement(arrivals: Sequence[Arrival], secret: bytes) -> tuple[str, dict[str, Any]]:
    """Return the statement that indexes the new ones of several instances, and its values; `read_admissions` reads its rows."""
    batch = json.dumps([_values(arrival, secret) for arrival in arrivals], allow_nan=False)
    return _ADMIT, {"batch": batch, "check_after_s": CHECK_AFTER_S}


def read_admissions(rows: Iterable[Sequence[Any]]) -> list[Admission | None]:
    """Return the admission of each instance, in the given order; None where it is not new (see `admit_instance`)."""
    return [
        None if new_instance is None else Admission(AdmissionResult.NEW, new_instance, of_unit, of_revision)
        for _, new_instance, of_unit, of_revision in sorted(rows, key=lambda row: int(row[0]))
    ]


def _admit_known_uid(connection: Connection, values: Mapping[str, Any]) -> Admission:
    """Admit an instance that is not new: the same content, or other content of a known UID."""
    for _ in range(2):  # twice: the same undecided content may be received on two associations at once
        known = connection.execute(_COUNT_DUPLICATE, values).one_or_none()
        if known is not None:
            return Admission(AdmissionResult.DUPLICATE, known.id, known.unit_id, known.revision, known.removed, known.replaced)
        instance_id = connection.execute(_ADD_UNDECIDED, {**values, "header": json.dumps(values["header"])}).scalar_one_or_none()
        if instance_id is not None:
            connection.execute(_CHECK_UNIT, values)
            details = {
                "association": values["association_id"],
                "sha256": values["sha256"],
                "unit": values["unit_id"],
                "revision": values["revision"],
                "patient": values["patient"],
            }
            actor, subject = f"ae:{values['source']}", f"instance:{instance_id}"
            audit.record(connection, actor=actor, action="instance.undecided", subject=subject, details=details)
            notify(connection, "intake")
            return Admission(AdmissionResult.UNDECIDED, instance_id, values["unit_id"], values["revision"])
    raise StorageError("an instance was neither known nor new, in two tries", hint="the sender repeats it")


_COLUMNS = (
    "sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid", "transfer_syntax_uid", "patient_id",
    "issuer_of_patient_id", "patient_name", "patient_birth_date", "patient_sex", "accession_number", "study_id", "study_date",
    "study_time", "study_description", "series_description", "modality", "body_part_examined",
)  # fmt: skip
_columns_of = attrgetter(*_COLUMNS)


def _values(arrival: Arrival, secret: bytes) -> dict[str, Any]:
    """Return the parameters of all statements of an admission. ``patient`` is the keyed reference for the audit trail."""
    header, kind = arrival.header, arrival.kind
    values: dict[str, Any] = dict(zip(_COLUMNS, map(clean_text, _columns_of(header)), strict=True))
    return values | {
        "series_number": header.series_number,
        "header": header_to_json(header),
        "notes": [clean_text(note) for note in header.tolerated],
        "kind": kind.value,
        "unit_sop_instance_uid": values["sop_instance_uid"] if kind is UnitKind.IMAGE else "",
        "sha256": arrival.blob.sha256,
        "size_bytes": arrival.blob.size_bytes,
        "association_id": str(arrival.association_id),
        "source": clean_text(arrival.source),
        "patient": audit.patient_reference(secret, values["issuer_of_patient_id"], values["patient_id"]),
    }
