"""Two contents of one SOP Instance UID: compared off the receive path, settled here."""

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.notify import notify
from db.records import UndecidedInstance

_UNDECIDED = text("""
    SELECT i.id, i.unit_id, i.sha256, c.sha256 AS current_sha256
    FROM instances i JOIN instances c ON c.sop_instance_uid = i.sop_instance_uid AND c.state = 'current'
    WHERE i.state = 'undecided' ORDER BY i.id LIMIT :limit
""")
_WHICH = text("""
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
# Changed content of a complete unit opens its next revision; an open one merely holds something else now.
_CHANGED = text("""
    UPDATE units SET held = (SELECT count(*) FROM instances i WHERE i.unit_id = units.id AND i.state = 'current'),
        revision = CASE WHEN state = 'complete' THEN revision + 1 ELSE revision END, state = 'open', changed_since_check = true,
        next_check_at = node_now(), last_received_at = node_now(),
        opened_at = CASE WHEN state = 'complete' THEN node_now() ELSE opened_at END,
        evidence = NULL, reason = '', outcome = NULL, completed_at = NULL, routes = '{}', selected = NULL, dropped = '{}'
    WHERE id = ANY(:ids)
""")
_STIR = text("UPDATE units SET changed_since_check = true, next_check_at = node_now() WHERE id = ANY(:ids) AND state = 'open'")


def undecided(database: Database, limit: int) -> list[UndecidedInstance]:
    """Contents that wait to be compared with the current one of their UID, oldest first."""
    with database.begin() as connection:
        return [UndecidedInstance(*row) for row in connection.execute(_UNDECIDED, {"limit": limit})]


def settle(database: Database, instance_id: int, *, same: bool) -> None:
    """Say whether an undecided content is the same as the current one (attributes and pixels) or a changed one.

    The same: kept beside as ``equivalent``. Changed: it takes the place of the current one, and the unit gets a new revision.
    Harmless when it is settled already.
    """
    with database.begin() as connection:
        which = connection.execute(_WHICH, {"id": instance_id}).one_or_none()
        if which is None:
            return
        units = sorted({which.unit_id, which.current_unit_id})
        connection.execute(_LOCK_UNITS, {"ids": units})
        rows = connection.execute(_LOCK_CONTENTS, {"sop_instance_uid": which.sop_instance_uid, "id": instance_id}).all()
        contents = {row.state: row for row in rows}
        if set(contents) != {"current", "undecided"}:
            return  # settled while we waited for the lock
        if same:
            connection.execute(_SET_STATE, {"id": instance_id, "state": "equivalent"})
            connection.execute(_STIR, {"ids": units})
        else:
            connection.execute(_SET_STATE, {"id": contents["current"].id, "state": "superseded"})
            connection.execute(_SET_STATE, {"id": instance_id, "state": "current"})
            connection.execute(_CHANGED, {"ids": units})
            connection.execute(_SET_REVISION, {"id": instance_id})
        audit.record(
            connection,
            actor="node",
            action="instance.equivalent" if same else "instance.changed",
            subject=f"instance:{instance_id}",
            details={"sha256": contents["undecided"].sha256, "other_sha256": contents["current"].sha256},
        )
        notify(connection, "intake")
