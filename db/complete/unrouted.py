"""Units that no route took: listed, and opened again after the routes were corrected."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.notify import notify

_UNROUTED = "u.state = 'complete' AND u.outcome IS NOT NULL AND u.routes = '{}'"
_IMAGES_REMOVED = "EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'current' AND i.removed_at IS NOT NULL)"
_LIST = text(f"""
    SELECT u.id AS unit_id, u.kind, u.source, u.held, u.completed_at, u.reason, {_IMAGES_REMOVED} AS let_go,
           st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid, st.accession_number, st.study_description,
           se.modality, se.series_description
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE {_UNROUTED} AND u.completed_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
      AND (CAST(:before AS bigint) IS NULL OR (u.completed_at, u.id) < (SELECT b.completed_at, b.id FROM units b WHERE b.id = :before))
    ORDER BY u.completed_at DESC, u.id DESC LIMIT :limit
""")
# No instance was received: the times that completion rests on stay, so that the unit may be complete again at once.
_REOPEN = text(f"""
    UPDATE units u SET state = 'open', changed_since_check = true, next_check_at = node_now(), evidence = NULL, reason = '', outcome = NULL,
        completed_at = NULL, selected = NULL, dropped = '{{}}'
    WHERE u.id IN (SELECT u.id FROM units u WHERE u.id = ANY(:ids) AND {_UNROUTED} AND NOT {_IMAGES_REMOVED}
                   ORDER BY u.id FOR NO KEY UPDATE)
    RETURNING u.id, u.revision
""")
_STATES = text(f"""
    SELECT u.id, u.state, u.routes, u.outcome, {_IMAGES_REMOVED} AS images_removed FROM units u WHERE u.id = ANY(:ids)
""")


def list_unrouted(database: Database, *, since: datetime | None, before: int | None = None, limit: int) -> list[dict[str, Any]]:
    """Return units that no route took, the latest first; ``before`` continues behind the unit with this number.

    ``let_go`` is true where retention has removed images of the unit, so that it cannot be routed again.
    """
    with database.begin() as connection:
        return [dict(row) for row in connection.execute(_LIST, {"since": since, "before": before, "limit": limit}).mappings()]


def reopen_unrouted(database: Database, ids: Sequence[int], actor: str) -> list[int]:
    """Open units that no route took, so that the conductor completes and routes them again; return the ids of those that were opened."""
    with database.begin() as connection:
        opened = connection.execute(_REOPEN, {"ids": list(ids)}).all()
        for row in opened:
            audit.record(connection, actor=actor, action="unit.requeued", subject=f"unit:{row.id}", details={"revision": row.revision})
        notify(connection, "intake")
    return sorted(row.id for row in opened)


def reopen_refusals(database: Database, ids: Sequence[int], done: Sequence[int]) -> list[str]:
    """Return, for each of ``ids`` that is not in ``done``, a sentence that says why it was not opened."""
    with database.begin() as connection:
        rows = {row.id: row for row in connection.execute(_STATES, {"ids": list(ids)})}
    found = []
    for id in dict.fromkeys(ids):
        row = rows.get(id)
        if id in done:
            continue
        if row is None:
            found.append(f"there is no unit {id}")
        elif row.state == "open":
            found.append(f"unit {id} is not complete yet: it will be routed")
        elif row.routes or row.outcome is None:
            found.append(f"unit {id} was taken by a route: see its jobs")
        else:
            found.append(f"retention has removed images of unit {id}: send them again")
    return found
