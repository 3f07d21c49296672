"""What comes in: associations as leased rows, and the admission of instances whose bytes are already a blob."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, text

from core.errors import StorageError
from core.records import InstanceHeader
from core.states import UnitKind
from db import audit
from db.engine import Database
from db.notify import notify
from db.receive.quarantine import quarantine, quarantined
from db.records import Admission, Admitted, BlobRef
from db.row_values import clean, header_values

__all__ = [
    "Arrival",
    "admission_of",
    "admissions",
    "admit",
    "close_association",
    "open_association",
    "quarantine",
    "quarantined",
    "reap_associations",
    "renew_associations",
]

LOOK_AFTER_S = 1.0  # a series that is coming in is looked at once a second, not at every instance

_OPEN = text("""
    INSERT INTO associations (id, calling_ae, called_ae, address, listener, lease_until)
    VALUES (CAST(:id AS uuid), :calling_ae, :called_ae, :address, :listener, node_now() + make_interval(secs => :lease_s))
""")
_RENEW = text("""
    UPDATE associations SET lease_until = node_now() + make_interval(secs => :lease_s)
    WHERE id = ANY(CAST(:ids AS uuid[])) AND closed_at IS NULL
""")
_CLOSE = text("UPDATE associations SET closed_at = node_now(), end_reason = :how WHERE id = CAST(:id AS uuid) AND closed_at IS NULL")
_REAP = text("""
    UPDATE associations SET closed_at = node_now(), end_reason = 'lost'
    WHERE closed_at IS NULL AND lease_until < (SELECT node_now()) RETURNING id
""")
# Rows are locked in the order of their ids, as every statement that locks several units does.
_STIR = text("""
    UPDATE units SET changed_since_check = true, next_check_at = node_now()
    WHERE id IN (SELECT u.id FROM units u JOIN association_units a ON a.unit_id = u.id
                 WHERE a.association_id = ANY(CAST(:ids AS uuid[])) AND u.state = 'open' ORDER BY u.id FOR NO KEY UPDATE OF u)
""")
# One round trip for whatever is new; see db/schema/admission.py.
_ADMIT_NEW = """
    SELECT place, new_instance, of_unit, of_revision FROM admit_instances(CAST(%(batch)s AS jsonb), %(check_after_s)s)
"""
_ADD_UNDECIDED = text("""
    INSERT INTO instances (unit_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, sha256, size_bytes, state, revision,
                           header, notes, source, association_id)
    VALUES (:unit_id, :sop_instance_uid, :sop_class_uid, :transfer_syntax_uid, :sha256, :size_bytes, 'undecided', :revision,
            CAST(:header AS jsonb), :notes, :source, CAST(:association_id AS uuid))
    ON CONFLICT DO NOTHING RETURNING id
""")
_KNOWN = text("""
    UPDATE instances i SET duplicates = duplicates + 1 FROM units u
    WHERE i.sop_instance_uid = :sop_instance_uid AND i.sha256 = :sha256 AND u.id = i.unit_id
    RETURNING i.id, i.unit_id, u.revision, i.removed_at IS NOT NULL AS let_go
""")
_STIR_UNIT = text("UPDATE units SET changed_since_check = true, next_check_at = node_now() WHERE id = :unit_id AND state = 'open'")


def open_association(database: Database, *, id: UUID, calling_ae: str, called_ae: str, address: str, listener: str, lease_s: float) -> None:
    """Record an accepted association; its lease is to be renewed while it lives."""
    values = {"id": str(id), "calling_ae": clean(calling_ae), "called_ae": clean(called_ae), "address": address, "listener": listener}
    with database.begin() as connection:
        connection.execute(_OPEN, {**values, "lease_s": lease_s})


def renew_associations(database: Database, ids: Iterable[UUID], lease_s: float) -> None:
    """The listener lives: its associations are open for another ``lease_s``."""
    with database.begin() as connection:
        connection.execute(_RENEW, {"ids": [str(id) for id in ids], "lease_s": lease_s})


def close_association(database: Database, id: UUID, how: Literal["released", "aborted", "lost"]) -> None:
    """The association ended: its open units are looked at now. Harmless when it is closed already."""
    with database.begin() as connection:
        connection.execute(_CLOSE, {"id": str(id), "how": how})
        _stir(connection, [str(id)])


def reap_associations(database: Database) -> int:
    """Associations whose lease ran out count as lost; gives how many."""
    with database.begin() as connection:
        lost = [str(row.id) for row in connection.execute(_REAP)]
        if lost:
            _stir(connection, lost)
    return len(lost)


def _stir(connection: Connection, ids: list[str]) -> None:
    if connection.execute(_STIR, {"ids": ids}).rowcount:
        notify(connection, "intake")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One instance that is to be indexed; its bytes are safe."""

    header: InstanceHeader
    blob: BlobRef
    kind: UnitKind
    association_id: UUID
    source: str


def admit(database: Database, *, header: InstanceHeader, blob: BlobRef, kind: UnitKind, association_id: UUID, source: str) -> Admission:
    """Index one instance. When this returns, the row is committed and Success may go back.

    The same content again is a duplicate: no row, no work. Another content of a SOP Instance UID is kept as undecided, to be
    compared off the receive path (``units.settle``). A new instance of a complete unit opens its next revision.

    Raises
    ------
    StorageError
        The database is out of reach; nothing was kept.
    """
    secret = database.installation()[1]
    arrival = Arrival(header, blob, kind, association_id, source)
    with database.begin() as connection:
        rows = connection.exec_driver_sql(*admission_of([arrival], secret)).all()
        (admission,) = admissions(rows)
        values = _values(arrival, secret)
        return admission or _not_new(connection, values | {"unit_id": rows[0].of_unit, "revision": rows[0].of_revision})


def admission_of(arrivals: Sequence[Arrival], secret: bytes) -> tuple[str, dict[str, Any]]:
    """The statement that indexes what is new of these, and its values; its rows are for `admissions`."""
    batch = json.dumps([_values(arrival, secret) for arrival in arrivals], allow_nan=False)
    return _ADMIT_NEW, {"batch": batch, "check_after_s": LOOK_AFTER_S}


def admissions(rows: Iterable[Sequence[Any]]) -> list[Admission | None]:
    """What came of each arrival, in the order given; None where one is not new: see `admit`."""
    return [
        None if new_instance is None else Admission(Admitted.NEW, new_instance, of_unit, of_revision)
        for _, new_instance, of_unit, of_revision in sorted(rows, key=lambda row: int(row[0]))
    ]


def _not_new(connection: Connection, values: Mapping[str, Any]) -> Admission:
    """This content is known, or it is another content of a UID that is held."""
    for _ in range(2):  # twice: the same undecided content may come in on two associations at once
        known = connection.execute(_KNOWN, values).one_or_none()
        if known is not None:
            return Admission(Admitted.DUPLICATE, known.id, known.unit_id, known.revision, known.let_go)
        instance_id = connection.execute(_ADD_UNDECIDED, {**values, "header": json.dumps(values["header"])}).scalar_one_or_none()
        if instance_id is not None:
            connection.execute(_STIR_UNIT, values)
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
            return Admission(Admitted.UNDECIDED, instance_id, values["unit_id"], values["revision"])
    raise StorageError("an instance was neither known nor new, twice", hint="the sender repeats it")


_COLUMNS = (
    "sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid", "transfer_syntax_uid", "patient_id",
    "issuer_of_patient_id", "patient_name", "patient_birth_date", "patient_sex", "accession_number", "study_id", "study_date",
    "study_time", "study_description", "series_description", "modality", "body_part_examined",
)  # fmt: skip


def _values(arrival: Arrival, secret: bytes) -> dict[str, Any]:
    """Everything that the statements of an admission name. ``patient``: a keyed reference, for the audit trail."""
    header, kind = arrival.header, arrival.kind
    values: dict[str, Any] = {name: clean(getattr(header, name)) for name in _COLUMNS}
    return values | {
        "series_number": header.series_number,
        "header": header_values(header),
        "notes": [clean(note) for note in header.tolerated],
        "kind": kind.value,
        "unit_sop_instance_uid": values["sop_instance_uid"] if kind is UnitKind.IMAGE else "",
        "sha256": arrival.blob.sha256,
        "size_bytes": arrival.blob.size_bytes,
        "association_id": str(arrival.association_id),
        "source": clean(arrival.source),
        "patient": audit.patient_reference(secret, values["issuer_of_patient_id"], values["patient_id"]),
    }
