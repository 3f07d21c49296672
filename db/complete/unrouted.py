"""Units that no route took, judged again: the routes were mended, and the images are still here."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.notify import notify

_UNROUTED = "u.state = 'complete' AND u.outcome IS NOT NULL AND u.routes = '{}'"
_GONE = "EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'current' AND i.removed_at IS NOT NULL)"
_LIST = text(f"""
    SELECT u.id AS unit_id, u.kind, u.source, u.held, u.completed_at, u.reason, {_GONE} AS let_go,
           st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE {_UNROUTED} AND u.completed_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
    ORDER BY u.completed_at DESC, u.id DESC LIMIT :limit
""")
# What completed it before may complete it again at once: nothing came, and the times of that are as they were.
_AGAIN = text(f"""
    UPDATE units u SET state = 'open', changed_since_check = true, next_check_at = node_now(), evidence = NULL, reason = '', outcome = NULL,
        completed_at = NULL, selected = NULL, dropped = '{{}}'
    WHERE u.id IN (SELECT u.id FROM units u WHERE u.id = ANY(:ids) AND {_UNROUTED} AND NOT {_GONE} ORDER BY u.id FOR NO KEY UPDATE)
    RETURNING u.id, u.revision
""")
_WHY = text(f"""
    SELECT u.id, u.state, u.routes, u.outcome, {_GONE} AS let_go FROM units u WHERE u.id = ANY(:ids)
""")


def unrouted(database: Database, *, since: datetime | None, limit: int) -> list[dict[str, Any]]:
    """Units that no route took, the latest first. ``let_go``: retention has removed images of it, so that it cannot be judged again."""
    with database.begin() as connection:
        return [dict(row) for row in connection.execute(_LIST, {"since": since, "limit": limit}).mappings()]


def again(database: Database, ids: Sequence[int], actor: str) -> list[int]:
    """Open units that no route took, so that the conductor decides on them as if they had just come in; the ids of those it was."""
    with database.begin() as connection:
        opened = connection.execute(_AGAIN, {"ids": list(ids)}).all()
        for row in opened:
            audit.record(connection, actor=actor, action="unit.requeued", subject=f"unit:{row.id}", details={"revision": row.revision})
        notify(connection, "intake")
    return sorted(row.id for row in opened)


def obstacles(database: Database, ids: Sequence[int], done: Sequence[int]) -> list[str]:
    """Why a unit was not judged again: a sentence for each, for the person who asked."""
    with database.begin() as connection:
        rows = {row.id: row for row in connection.execute(_WHY, {"ids": list(ids)})}
    found = []
    for id in dict.fromkeys(ids):
        row = rows.get(id)
        if id in done:
            continue
        if row is None:
            found.append(f"there is no unit {id}")
        elif row.state == "open":
            found.append(f"unit {id} is not complete yet: it will be judged")
        elif row.routes or row.outcome is None:
            found.append(f"unit {id} was taken by a route: see its jobs")
        else:
            found.append(f"retention has let go images of unit {id}: send them again")
    return found
