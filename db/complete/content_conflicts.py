"""Two contents of one SOP Instance UID: listed for comparison, and settled by its result.

The content that was received last is compared last, also where it was received before: A, then B, then A again ends with A.
"""

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
# The content with which they were to be compared has been erased with its study, which is of another person (`db.patients.erasure`).
_ALONE = text("""
    SELECT i.id, i.unit_id FROM instances i
    WHERE i.state = 'undecided' AND (CAST(:only AS bigint) IS NULL OR i.id = :only)
      AND NOT EXISTS (SELECT FROM instances c WHERE c.sop_instance_uid = i.sop_instance_uid AND c.state = 'current')
    ORDER BY i.id LIMIT :limit
""")
_LOCK_UNITS = text("SELECT id FROM units WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
_LOCK_CONTENTS = text("""
    SELECT id, sha256, state FROM instances WHERE sop_instance_uid = :sop_instance_uid AND (state = 'current' OR id = :id)
    ORDER BY id FOR NO KEY UPDATE
""")
_OF_SAME_UID = text("""
    SELECT i.id, i.unit_id, i.state FROM instances i JOIN instances again ON again.sop_instance_uid = i.sop_instance_uid
    WHERE again.id = :id AND (i.id = :id OR i.state = 'undecided') ORDER BY i.id
""")
_OF_SAME_UID_LOCKED = text(f"{_OF_SAME_UID.text} FOR NO KEY UPDATE OF i")
_SET_STATE = text("UPDATE instances SET state = :state WHERE id = :id")
# What had the same attributes and pixels as the replaced content differs from the new one.
_SUPERSEDE_EQUIVALENT = text(
    "UPDATE instances SET state = 'superseded' WHERE sop_instance_uid = :sop_instance_uid AND state = 'equivalent'"
)
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


def compare_again(database: Database, instance_id: int, *, actor: str) -> bool:
    """Take known content that was received again as the last one of its SOP Instance UID; return whether it is to be compared again.

    It is, where other content has replaced it. Contents that came before it and were not compared yet are superseded without comparison:
    each would otherwise become current after it.
    """
    with database.begin() as connection:
        units = sorted({row.unit_id for row in connection.execute(_OF_SAME_UID, {"id": instance_id})})
        connection.execute(_LOCK_UNITS, {"ids": units})
        locked = connection.execute(_OF_SAME_UID_LOCKED, {"id": instance_id})
        contents = [row for row in locked if row.unit_id in units]  # others were received at this moment: neither is the last one
        states = {row.id: "superseded" for row in contents if row.id != instance_id}
        if any(row.id == instance_id and row.state == "superseded" for row in contents):
            states[instance_id] = "undecided"
        for id, state in states.items():
            connection.execute(_SET_STATE, {"id": id, "state": state})
            audit.record(connection, actor=actor, action=f"instance.{state}", subject=f"instance:{id}", details={"again": instance_id})
        if states:
            connection.execute(_CHECK_UNITS, {"ids": units})
            notify(connection, "intake")
    return instance_id in states


def settle_conflict(database: Database, instance_id: int, *, same: bool, current_sha256: str | None = None) -> None:
    """Record whether an undecided content has the same attributes and pixels as the current one.

    The same content is kept as ``equivalent``. A changed content replaces the current one, and the unit gets a new revision. Without
    effect if the conflict is settled already, or if the current content is no longer ``current_sha256``, with which it was compared.
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
        if current_sha256 not in (None, contents["current"].sha256):
            return  # another conductor has replaced it meanwhile: they are compared again
        if same:
            connection.execute(_SET_STATE, {"id": instance_id, "state": "equivalent"})
            connection.execute(_CHECK_UNITS, {"ids": units})
        else:
            connection.execute(_SET_STATE, {"id": contents["current"].id, "state": "superseded"})
            connection.execute(_SUPERSEDE_EQUIVALENT, {"sop_instance_uid": conflict.sop_instance_uid})
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


def take_lone_contents(database: Database, limit: int) -> int:
    """Make undecided contents current that have no other content to be compared with; return how many.

    Their unit gets a new revision, as with content that has changed.
    """
    with database.begin() as connection:
        found = connection.execute(_ALONE, {"only": None, "limit": limit}).all()
    done = 0
    for row in found:
        with database.begin() as connection:
            connection.execute(_LOCK_UNITS, {"ids": [row.unit_id]})
            if connection.execute(_ALONE, {"only": row.id, "limit": 1}).one_or_none() is None:
                continue  # another one of its UID has become current
            connection.execute(_SET_STATE, {"id": row.id, "state": "current"})
            connection.execute(_CHANGE_UNITS, {"ids": [row.unit_id]})
            connection.execute(_SET_REVISION, {"id": row.id})
            audit.record(connection, actor="node", action="instance.changed", subject=f"instance:{row.id}", details={"alone": True})
            notify(connection, "intake")
        done += 1
    return done
