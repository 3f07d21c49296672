"""Units of analysis as the conductor sees them: which are due, what they hold, what the source said."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from core.states import UnitKind, UnitState
from db.complete.completion import complete
from db.complete.content_conflicts import settle, undecided
from db.engine import Database
from db.records import AssociationView, InstanceView, UnitView
from db.row_values import header_of

__all__ = ["complete", "due", "instances", "postpone", "record_expected", "settle", "soonest", "study", "undecided"]

_VIEW = """
    SELECT u.id, u.kind, u.state, u.revision, st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid, u.source, u.held,
           u.first_received_at, u.opened_at, u.last_received_at, u.expected, u.expected_at, u.expected_before, u.routes, u.selected,
           u.reason, u.requested, u.requested_at,
           (SELECT count(*) FROM instances i WHERE i.unit_id = u.id AND i.state = 'undecided') AS undecided
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
"""
# Looking clears the mark that something happened; a unit that is being written to at this moment is left for the next look.
_LOOK = text("""
    UPDATE units SET changed_since_check = false
    WHERE id IN (SELECT id FROM units WHERE state = 'open' AND held > 0 AND next_check_at <= (SELECT node_now())
                 ORDER BY next_check_at, id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id
""")
_SOONEST = text("""
    SELECT extract(epoch FROM next_check_at - (SELECT node_now())) FROM units
    WHERE state = 'open' AND held > 0 ORDER BY next_check_at LIMIT 1
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
    UPDATE units SET next_check_at = :until WHERE id = :id AND state = 'open' AND revision = :revision AND NOT changed_since_check
""")
_EXPECTED = text("""
    UPDATE units SET expected_before = expected, expected = :count, expected_at = node_now() WHERE id = :id AND state = 'open'
""")
_INSTANCES = text("""
    SELECT id, header, sha256, size_bytes, received_at, notes FROM instances
    WHERE unit_id = :unit_id AND state = 'current' ORDER BY id
""")


def due(database: Database, *, limit: int) -> list[UnitView]:
    """Open units that hold something and whose next look has come, the longest waiting first."""
    with database.begin() as connection:
        ids = list(connection.execute(_LOOK, {"limit": limit}).scalars())
        return _views(connection, _BY_ID, {"ids": ids}) if ids else []


def soonest(database: Database) -> float | None:
    """In how many seconds the next open unit that holds something is due; below 0 where one is. None where there is none."""
    with database.begin() as connection:
        seconds = connection.execute(_SOONEST).scalar_one_or_none()
    return None if seconds is None else float(seconds)


def study(database: Database, study_instance_uid: str) -> list[UnitView]:
    """Every unit of a study, open or complete, by id."""
    with database.begin() as connection:
        return _views(connection, _BY_STUDY, {"study_instance_uid": study_instance_uid})


def postpone(database: Database, unit_id: int, *, revision: int, until: datetime) -> None:
    """Look again at ``until`` (UTC). Without effect when something happened to the unit since it was handed out by ``due``."""
    with database.begin() as connection:
        connection.execute(_POSTPONE, {"id": unit_id, "revision": revision, "until": until})


def record_expected(database: Database, unit_id: int, count: int) -> None:
    """The source counts ``count`` instances now; what it said before is kept beside."""
    with database.begin() as connection:
        connection.execute(_EXPECTED, {"id": unit_id, "count": count})


def instances(database: Database, unit_id: int) -> list[InstanceView]:
    """The current instances of a unit, in the order they came."""
    with database.begin() as connection:
        rows = connection.execute(_INSTANCES, {"unit_id": unit_id})
        return [InstanceView(row.id, header_of(row.header), row.sha256, row.size_bytes, row.received_at, tuple(row.notes)) for row in rows]


def _views(connection: Connection, query: TextClause, values: dict[str, Any]) -> list[UnitView]:
    rows = connection.execute(query, values).all()
    brought: dict[int, list[AssociationView]] = {row.id: [] for row in rows}
    for row in connection.execute(_ASSOCIATIONS, {"ids": list(brought)}):
        brought[row.unit_id].append(AssociationView(row.association_id, row.calling_ae, row.open, row.last_instance_at, row.broken))
    return [_view(row, tuple(brought[row.id])) for row in rows]


def _view(row: Row[Any], associations: tuple[AssociationView, ...]) -> UnitView:
    return UnitView(
        id=row.id,
        kind=UnitKind(row.kind),
        state=UnitState(row.state),
        revision=row.revision,
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        sop_instance_uid=row.sop_instance_uid,
        source=row.source,
        held=row.held,
        first_received_at=row.first_received_at,
        last_received_at=row.last_received_at,
        associations=associations,
        undecided=row.undecided,
        expected=row.expected,
        expected_at=row.expected_at,
        expected_before=row.expected_before,
        routes=tuple(row.routes),
        selected=row.selected,
        opened_at=row.opened_at,
        reason=row.reason,
        requested=row.requested,
        requested_at=row.requested_at,
    )
