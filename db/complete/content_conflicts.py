"""Two contents of one SOP Instance UID: listed for comparison, and settled by its result."""

from dataclasses import dataclass

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.notify import notify

_UNDECIDED = text("""
    SELECT i.id, i.unit_id, i.sha256, c.sha256 AS current_sha256
    FROM instances i JOIN instances c ON c.sop_instance_uid = i.sop_instance_uid AND c.state = 'current'
    WHERE i.state = 'undecided' ORDER BY i.id LIMIT :limit
""")
_CONFLICT = text("""
    SELECT i.unit_id, i.sop_instance_uid, c.unit_id AS current_unit_id
    FROM instances i JOIN instances c ON c.sop_instance_uid = i.sop_instance_uid AND c.state = 'current'
    WHERE i.id = :id AND i.state = 'undecided'
""")
_LOCK_UNITS = text("SELECT id FROM units WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
_LOCK_CONTENTS = text("""
    SELECT id, sha256, state FROM instances WHERE sop_instance_uid = :sop_instance_uid AND (state = 'current' OR id = :id)
    ORDER BY id FOR NO KEY UPDATE
""")
_SET_STATE = text("UPDATE instances SET state = :state WHERE id = :id")
_SET_REVISION = text("UPDATE instances i SET revision = u.revision FROM units u WHERE i.id = :id AND u.id = i.unit_id")
# Changed content of a complete unit begins its next revision, on which the source is asked again; an open unit keeps its revision.
_CHANGE_UNITS = text("""
    UPDATE units SET held = (SELECT count(*) FROM instances i WHERE i.unit_id = units.id AND i.state = 'current'),
        revision = CASE WHEN state = 'complete' THEN revision + 1 ELSE revision END, state = 'open', changed_since_check = true,
        next_check_at = node_now(), last_received_at = node_now(),
        opened_at = CASE WHEN state = 'complete' THEN node_now() ELSE opened_at END,
        evidence = NULL, reason = '', outcome = NULL, completed_at = NULL, routes = '{}', selected = NULL, dropped = '{}',
        expected = CASE WHEN state = 'complete' THEN NULL ELSE expected END,
        expected_at = CASE WHEN state = 'complete' THEN NULL ELSE expected_at END,
        expected_before = CASE WHEN state = 'complete' THEN NULL ELSE expected_before END
    WHERE id = ANY(:ids)
""")
_CHECK_UNITS = text("UPDATE units SET changed_since_check = true, next_check_at = node_now() WHERE id = ANY(:ids) AND state = 'open'")


@dataclass(frozen=True, slots=True)
class UndecidedInstance:
    """A content that is to be compared with the current content of its SOP Instance UID."""

    id: int
    unit_id: int
    sha256: str
    current_sha256: str


def list_undecided(database: Database, limit: int) -> list[UndecidedInstance]:
    """Return contents that wait to be compared, oldest first."""
    with database.begin() as connection:
        return [UndecidedInstance(*row) for row in connection.execute(_UNDECIDED, {"limit": limit})]


def settle_conflict(database: Database, instance_id: int, *, same: bool) -> None:
    """Record whether an undecided content has the same attributes and pixels as the current one.

    The same content is kept as ``equivalent``. A changed content replaces the current one, and the unit gets a new revision. Without
    effect if the conflict is settled already.
    """
    with database.begin() as connection:
        conflict = connection.execute(_CONFLICT, {"id": instance_id}).one_or_none()
        if conflict is None:
            return
        units = sorted({conflict.unit_id, conflict.current_unit_id})
        connection.execute(_LOCK_UNITS, {"ids": units})
        rows = connection.execute(_LOCK_CONTENTS, {"sop_instance_uid": conflict.sop_instance_uid, "id": instance_id}).all()
        contents = {row.state: row for row in rows}
        if set(contents) != {"current", "undecided"}:
            return  # settled by another process while this one waited for the lock
        if same:
            connection.execute(_SET_STATE, {"id": instance_id, "state": "equivalent"})
            connection.execute(_CHECK_UNITS, {"ids": units})
        else:
            connection.execute(_SET_STATE, {"id": contents["current"].id, "state": "superseded"})
            connection.execute(_SET_STATE, {"id": instance_id, "state": "current"})
            connection.execute(_CHANGE_UNITS, {"ids": units})
            connection.execute(_SET_REVISION, {"id": instance_id})
        audit.record(
            connection,
            actor="node",
            action="instance.equivalent" if same else "instance.changed",
            subject=f"instance:{instance_id}",
            details={"sha256": contents["undecided"].sha256, "other_sha256": contents["current"].sha256},
        )
        notify(connection, "intake")
