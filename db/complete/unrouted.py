"""Units that no route took, opened again after the routes were corrected. They are listed by `db.listings.unrouted`."""

from collections.abc import Sequence

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.listings.unrouted import IMAGES_REMOVED, UNROUTED
from db.notify import notify

IMAGES_DELETED = "retention has deleted images of it: send them again"

# No instance was received: the times of the last one stay, so that the unit may be complete again at once. `completion.max_wait_s` begins
# anew: by the time at which it was opened first, a series would be overdue, and `per_study = "best"` would choose it without a comparison
# with the others, which are routed again at the same time and whose images may have to be searched for lungs before.
_REOPEN = text(f"""
    UPDATE units u SET state = 'open', changed_since_check = true, next_check_at = node_now(), evidence = NULL, reason = '', outcome = NULL,
        completed_at = NULL, selected = NULL, dropped = '{{}}', opened_at = node_now()
    WHERE u.id IN (SELECT u.id FROM units u WHERE u.id = ANY(:ids) AND {UNROUTED} AND NOT {IMAGES_REMOVED}
                   ORDER BY u.id FOR NO KEY UPDATE)
    RETURNING u.id, u.revision
""")
_STATES = text(f"""
    SELECT u.id, u.state, u.routes, u.outcome, {IMAGES_REMOVED} AS images_removed FROM units u WHERE u.id = ANY(:ids)
""")


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
