"""What comes in: associations as leased rows, and the admission of instances whose bytes are already a blob."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

from sqlalchemy import Connection, text

from core.errors import StorageError
from core.records import InstanceHeader
from core.states import UnitKind
from db import audit
from db.base import Database
from db.quarantine import quarantine, quarantined
from db.records import Admission, Admitted, BlobRef
from db.rows import clean, header_json
from db.signals import notify

__all__ = [
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
_CLOSE = text("UPDATE associations SET closed_at = node_now(), how = :how WHERE id = CAST(:id AS uuid) AND closed_at IS NULL")
_REAP = text("""
    UPDATE associations SET closed_at = node_now(), how = 'lost'
    WHERE closed_at IS NULL AND lease_until < (SELECT node_now()) RETURNING id
""")
# Rows are locked in the order of their ids, as every statement that locks several units does.
_STIR = text("""
    UPDATE units SET stirred = true, next_look_at = node_now()
    WHERE id IN (SELECT u.id FROM units u JOIN association_units a ON a.unit_id = u.id
                 WHERE a.association_id = ANY(CAST(:ids AS uuid[])) AND u.state = 'open' ORDER BY u.id FOR NO KEY UPDATE OF u)
""")
_LOCK_UNIT = text("""
    SELECT u.id, u.state, u.revision FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE se.series_instance_uid = :series_instance_uid AND st.study_instance_uid = :study_instance_uid
      AND u.kind = :kind AND u.sop_instance_uid = :unit_sop_instance_uid
    FOR NO KEY UPDATE OF u
""")
_ADD_STUDY = text("""
    INSERT INTO studies (study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex,
                         accession_number, study_id, study_date, study_time, study_description)
    VALUES (:study_instance_uid, :patient_id, :issuer_of_patient_id, :patient_name, :patient_birth_date, :patient_sex,
            :accession_number, :study_id, :study_date, :study_time, :study_description)
    ON CONFLICT DO NOTHING
""")
_ADD_SERIES = text("""
    INSERT INTO series (study_id, series_instance_uid, modality, series_number, series_description, body_part_examined)
    SELECT id, :series_instance_uid, :modality, :series_number, :series_description, :body_part_examined
    FROM studies WHERE study_instance_uid = :study_instance_uid
    ON CONFLICT DO NOTHING
""")
_ADD_UNIT = text("""
    INSERT INTO units (series_id, kind, sop_instance_uid, source)
    SELECT se.id, :kind, :unit_sop_instance_uid, :source FROM series se JOIN studies st ON st.id = se.study_id
    WHERE se.series_instance_uid = :series_instance_uid AND st.study_instance_uid = :study_instance_uid
    ON CONFLICT DO NOTHING
""")
# DO NOTHING covers both unique indexes: this content of the UID is known, or another content of it is current.
_ADD_INSTANCE = text("""
    INSERT INTO instances (unit_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, sha256, size_bytes, state, revision,
                           header, notes, source, association_id)
    VALUES (:unit_id, :sop_instance_uid, :sop_class_uid, :transfer_syntax_uid, :sha256, :size_bytes, :state, :revision,
            CAST(:header AS jsonb), :notes, :source, CAST(:association_id AS uuid))
    ON CONFLICT DO NOTHING RETURNING id
""")
_KNOWN = text("""
    UPDATE instances i SET duplicates = duplicates + 1 FROM units u
    WHERE i.sop_instance_uid = :sop_instance_uid AND i.sha256 = :sha256 AND u.id = i.unit_id
    RETURNING i.id, i.unit_id, u.revision, i.removed_at IS NOT NULL AS let_go
""")
# One round trip for the rest: the unit, which association brought it, and the audit event. The chainer is not rung per instance.
_NEW_CONTENT = text("""
    WITH unit AS (
        UPDATE units SET held = held + 1, last_received_at = node_now(), stirred = true,
            opened_at = CASE WHEN state = 'complete' OR held = 0 THEN node_now() ELSE opened_at END,
            next_look_at = CASE WHEN state = 'complete' OR held = 0 THEN node_now()
                                ELSE least(next_look_at, node_now() + make_interval(secs => :look_after_s)) END,
            revision = :revision, state = 'open', evidence = NULL, reason = '', outcome = NULL, completed_at = NULL,
            claimed_by = '{}', chosen = NULL, dropped = '{}',
            expected = CASE WHEN state = 'complete' THEN NULL ELSE expected END,
            expected_at = CASE WHEN state = 'complete' THEN NULL ELSE expected_at END,
            expected_before = CASE WHEN state = 'complete' THEN NULL ELSE expected_before END
        WHERE id = :unit_id
    ), brought AS (
        INSERT INTO association_units (association_id, unit_id, calling_ae, last_instance_at)
        VALUES (CAST(:association_id AS uuid), :unit_id, :source, node_now())
        ON CONFLICT (unit_id, association_id) DO UPDATE SET last_instance_at = excluded.last_instance_at
    )
    INSERT INTO audit_events (actor, action, subject, details) VALUES (:actor, 'instance.received', :subject, CAST(:details AS jsonb))
""")
_STIR_UNIT = text("UPDATE units SET stirred = true, next_look_at = node_now() WHERE id = :unit_id AND state = 'open'")


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


def admit(
    database: Database, *, header: InstanceHeader, blob: BlobRef, kind: UnitKind, association_id: UUID, source: str,
    notes: tuple[str, ...] = (),
) -> Admission:  # fmt: skip
    """Index one instance. When this returns, the row is committed and Success may go back.

    The same content again is a duplicate: no row, no work. Another content of a SOP Instance UID is kept as undecided, to be
    compared off the receive path (``units.settle``). A new instance of a complete unit opens its next revision.

    Raises
    ------
    StorageError
        The database is out of reach; nothing was kept.
    """
    secret = database.installation()[1]
    values = _values(header, blob, kind, association_id, source, notes)
    with database.begin() as connection:
        unit = _lock_unit(connection, values)
        revision = unit.revision + 1 if unit.state == "complete" else unit.revision
        values |= {"unit_id": unit.id, "revision": revision, "state": "current"}
        instance_id = connection.execute(_ADD_INSTANCE, values).scalar_one_or_none()
        if instance_id is None:
            return _not_new(connection, values, secret)
        event = _event(values, secret, instance_id)
        event_values = {"actor": event["actor"], "subject": event["subject"], "details": json.dumps(event["details"])}
        connection.execute(_NEW_CONTENT, {**values, **event_values, "look_after_s": LOOK_AFTER_S})
        if unit.state == "complete" or unit.fresh:  # an open unit has its next look set already
            notify(connection, "intake")
    return Admission(Admitted.NEW, instance_id, unit.id, revision)


class _Event(TypedDict):
    actor: str
    subject: str
    details: dict[str, Any]


class _LockedUnit(NamedTuple):
    id: int
    state: str
    revision: int
    fresh: bool


def _lock_unit(connection: Connection, values: Mapping[str, Any]) -> _LockedUnit:
    """The row of the unit, locked; made, with its series and study, where this is the first instance."""
    found = connection.execute(_LOCK_UNIT, values).one_or_none()
    if found is not None:
        return _LockedUnit(found.id, found.state, found.revision, fresh=False)
    for statement in (_ADD_STUDY, _ADD_SERIES, _ADD_UNIT):  # ON CONFLICT waits for another who makes the same
        connection.execute(statement, values)
    made = connection.execute(_LOCK_UNIT, values).one()
    return _LockedUnit(made.id, made.state, made.revision, fresh=True)


def _not_new(connection: Connection, values: dict[str, Any], secret: bytes) -> Admission:
    """This content is known, or it is another content of a UID that is held."""
    for _ in range(2):  # twice: the same undecided content may come in on two associations at once
        known = connection.execute(_KNOWN, values).one_or_none()
        if known is not None:
            return Admission(Admitted.DUPLICATE, known.id, known.unit_id, known.revision, known.let_go)
        instance_id = connection.execute(_ADD_INSTANCE, {**values, "state": "undecided"}).scalar_one_or_none()
        if instance_id is not None:
            connection.execute(_STIR_UNIT, values)
            event = _event(values, secret, instance_id)
            audit.record(connection, action="instance.undecided", **event)
            notify(connection, "intake")
            return Admission(Admitted.UNDECIDED, instance_id, values["unit_id"], values["revision"])
    raise StorageError("an instance was neither known nor new, twice", hint="the sender repeats it")


def _event(values: Mapping[str, Any], secret: bytes, instance_id: int) -> _Event:
    """The audit event of an instance: hashes and references, no identifier."""
    details = {
        "association": values["association_id"],
        "sha256": values["sha256"],
        "unit": values["unit_id"],
        "revision": values["revision"],
        "patient": audit.patient_reference(secret, values["issuer_of_patient_id"], values["patient_id"]),
    }
    return {"actor": f"ae:{values['source']}", "subject": f"instance:{instance_id}", "details": details}


_COLUMNS = (
    "sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid", "transfer_syntax_uid", "patient_id",
    "issuer_of_patient_id", "patient_name", "patient_birth_date", "patient_sex", "accession_number", "study_id", "study_date",
    "study_time", "study_description", "series_description", "modality", "body_part_examined",
)  # fmt: skip


def _values(
    header: InstanceHeader, blob: BlobRef, kind: UnitKind, association_id: UUID, source: str, notes: tuple[str, ...]
) -> dict[str, Any]:
    """Everything that the statements of an admission name."""
    values: dict[str, Any] = {name: clean(getattr(header, name)) for name in _COLUMNS}
    values |= {
        "series_number": header.series_number,
        "header": header_json(header),
        "notes": [clean(note) for note in (*header.tolerated, *notes)],
        "kind": kind.value,
        "unit_sop_instance_uid": values["sop_instance_uid"] if kind is UnitKind.IMAGE else "",
        "sha256": blob.sha256,
        "size_bytes": blob.size_bytes,
        "association_id": str(association_id),
        "source": clean(source),
    }
    return values
