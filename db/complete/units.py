"""Reads units of analysis for the conductor, and records when to check them next and what the source reports."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from core.states import UnitKind, UnitState
from db.complete.unit_records import AssociationView, InstanceView, UnitView
from db.engine import Database
from db.row_values import header_from_json

_VIEW = """
    SELECT u.id, u.kind, u.state, u.revision, st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid, u.source, u.held,
           u.first_received_at, u.opened_at, u.last_received_at, u.expected, u.expected_at, u.expected_before, u.routes, u.selected,
           u.reason, u.requested, u.requested_at,
           (SELECT count(*) FROM instances i WHERE i.unit_id = u.id AND i.state = 'undecided') AS undecided
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
"""
# A unit without instances is checked when no comparison of its contents is open: all may have moved to another unit.
_HAS_SOMETHING_TO_DECIDE = "(held > 0 OR NOT EXISTS (SELECT FROM instances i WHERE i.unit_id = units.id AND i.state = 'undecided'))"
# Clears the mark that something happened. A unit that another transaction has locked is left for the next check.
_DUE = text(f"""
    UPDATE units SET changed_since_check = false
    WHERE id = ANY(ARRAY(SELECT id FROM units WHERE state = 'open' AND {_HAS_SOMETHING_TO_DECIDE} AND next_check_at <= (SELECT node_now())
                 ORDER BY next_check_at, id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED))
    RETURNING id
""")
_NEXT_CHECK = text(f"""
    SELECT extract(epoch FROM next_check_at - (SELECT node_now())) FROM units
    WHERE state = 'open' AND {_HAS_SOMETHING_TO_DECIDE} ORDER BY next_check_at LIMIT 1
""")
_BY_ID = text(f"{_VIEW} WHERE u.id = ANY(:ids) ORDER BY u.next_check_at, u.id")
_BY_STUDY = text(f"{_VIEW} WHERE st.study_instance_uid = :study_instance_uid ORDER BY u.id")
_ASSOCIATIONS = text("""
    SELECT b.unit_id, b.association_id, b.calling_ae, b.last_instance_at, (a.id IS NOT NULL AND a.closed_at IS NULL) AS open,
           coalesce(a.end_reason IN ('aborted', 'lost'), false) AS broken
    FROM association_units b LEFT JOIN associations a ON a.id = b.association_id
    WHERE b.unit_id = ANY(:ids) ORDER BY b.last_instance_at, b.association_id
""")
_POSTPONE = text("""
    UPDATE units SET next_check_at = :until, reason = :reason
    WHERE id = :id AND state = 'open' AND revision = :revision AND NOT changed_since_check
""")
_UNREADABLE = text("""
    SELECT reason, count(*) AS number FROM units WHERE state = 'open' AND reason <> '' GROUP BY reason ORDER BY number DESC, reason
""")
_EXPECTED = text("""
    UPDATE units SET expected_before = expected, expected = :count, expected_at = node_now() WHERE id = :id AND state = 'open'
""")
_INSTANCES = text("""
    SELECT id, header, sha256, size_bytes, received_at, notes, removed_at IS NOT NULL AS removed FROM instances
    WHERE unit_id = :unit_id AND state = 'current' ORDER BY id
""")


def due_units(database: Database, *, limit: int) -> list[UnitView]:
    """Return open units whose next check is due, the one that is due longest first; not one whose only contents are being compared."""
    with database.begin() as connection:
        ids = list(connection.execute(_DUE, {"limit": limit}).scalars())
        return _views(connection, _BY_ID, {"ids": ids}) if ids else []


def seconds_until_check(database: Database) -> float | None:
    """Return in how many seconds the next open unit with instances is due; negative if one is overdue, None if there is none."""
    with database.begin() as connection:
        seconds = connection.execute(_NEXT_CHECK).scalar_one_or_none()
    return None if seconds is None else float(seconds)


def units_of_study(database: Database, study_instance_uid: str) -> list[UnitView]:
    """Return every unit of a study, open or complete, by id."""
    with database.begin() as connection:
        return _views(connection, _BY_STUDY, {"study_instance_uid": study_instance_uid})


def find_unit(connection: Connection, unit_id: int) -> UnitView | None:
    """Return a unit within the caller's transaction; None if there is none."""
    return next(iter(_views(connection, _BY_ID, {"ids": [unit_id]})), None)


def postpone_check(database: Database, unit_id: int, *, revision: int, until: datetime, reason: str = "") -> None:
    """Set the next check of a unit to ``until`` (UTC). Without effect if something happened to the unit since `due_units`.

    ``reason``: why its images cannot be read now; "" where something else is waited for.
    """
    with database.begin() as connection:
        connection.execute(_POSTPONE, {"id": unit_id, "revision": revision, "until": until, "reason": reason})


def count_unreadable_units(database: Database) -> dict[str, int]:
    """Return how many open units wait for images that cannot be read now, by the reason."""
    with database.begin() as connection:
        return {row.reason: int(row.number) for row in connection.execute(_UNREADABLE)}


def record_expected_count(database: Database, unit_id: int, count: int) -> None:
    """Record the number of instances that the source reports now, and keep the number that it reported before."""
    with database.begin() as connection:
        connection.execute(_EXPECTED, {"id": unit_id, "count": count})


def instances_of_unit(database: Database, unit_id: int) -> list[InstanceView]:
    """Return the current instances of a unit, in the order in which they were received."""
    with database.begin() as connection:
        rows = connection.execute(_INSTANCES, {"unit_id": unit_id})
        return [
            InstanceView(row.id, header_from_json(row.header), row.sha256, row.size_bytes, row.received_at, tuple(row.notes), row.removed)
            for row in rows
        ]


def _views(connection: Connection, query: TextClause, values: dict[str, Any]) -> list[UnitView]:
    rows = connection.execute(query, values).all()
    associations: dict[int, list[AssociationView]] = {row.id: [] for row in rows}
    for row in connection.execute(_ASSOCIATIONS, {"ids": list(associations)}):
        view = AssociationView(row.association_id, row.calling_ae, row.open, row.last_instance_at, row.broken)
        associations[row.unit_id].append(view)
    return [_view(row, tuple(associations[row.id])) for row in rows]


def _view(row: Row[Any], associations: tuple[AssociationView, ...]) -> UnitView:
    converted = {"kind": UnitKind(row.kind), "state": UnitState(row.state), "routes": tuple(row.routes)}
    return UnitView(**row._asdict() | converted, associations=associations)
