"""What may be let go, by the policy alone: bytes of units whose every result is at every destination. Rows and hashes stay.

Nothing undelivered: a unit is spared while any job of it is not delivered (a failed one may be requeued), while a delivery is on its
way, failed or held, while a destination has not committed that was asked to, and where no destination took its result at all.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from core.settings.operations import RetentionSection
from db import audit, counters
from db.blobs import removals
from db.blobs.store import Blobs
from db.engine import Database

AT_ONCE = 200

_DELIVERED = """
    u.state = 'complete' AND u.outcome IS NULL
    AND u.last_received_at < node_now() - make_interval(days => :days)
    AND EXISTS (SELECT FROM jobs j WHERE j.unit_id = u.id AND NOT j.shadow AND j.state = 'delivered')
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.unit_id = u.id AND j.state NOT IN ('superseded', 'cancelled')
                    AND (j.state <> 'delivered' OR j.delivered_at >= node_now() - make_interval(days => :days)
                         OR NOT j.shadow AND NOT EXISTS (SELECT FROM deliveries d WHERE d.job_id = j.id
                                                         AND d.state IN ('stored', 'committed'))))
    AND NOT EXISTS (SELECT FROM jobs j JOIN deliveries d ON d.job_id = j.id WHERE j.unit_id = u.id
                    AND (d.state IN ('pending', 'sending') OR d.state = 'stored' AND d.commit_wanted
                         OR j.state <> 'superseded' AND d.state NOT IN ('stored', 'committed', 'withdrawn')))
    AND NOT EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'undecided')
"""
_UNROUTED = """
    u.state = 'complete' AND u.outcome IS NOT NULL AND u.completed_at < node_now() - make_interval(days => :days)
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.unit_id = u.id AND j.state NOT IN ('superseded', 'cancelled'))
    AND NOT EXISTS (SELECT FROM jobs j JOIN deliveries d ON d.job_id = j.id WHERE j.unit_id = u.id
                    AND (d.state IN ('pending', 'sending') OR d.state = 'stored' AND d.commit_wanted))
    AND NOT EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'undecided')
"""
_IMAGES = "SELECT i.id, i.sha256, i.size_bytes FROM instances i WHERE i.unit_id {of} AND i.removed_at IS NULL"
_RESULTS = """
    SELECT r.id, r.sha256, r.size_bytes FROM reports r JOIN jobs j ON j.id = r.job_id WHERE j.unit_id {of} AND r.removed_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One rule of the policy: which units, what of them, and the table that keeps the rows."""

    name: str
    table: str
    alias: str
    days: int
    which: str
    what: str


@dataclass(frozen=True, slots=True)
class Removed:
    """What a rule let go, or would."""

    kind: str
    days: int
    units: int
    objects: int
    size_bytes: int


def rules(policy: RetentionSection) -> tuple[Kind, ...]:
    """The rules that are switched on."""
    every = (
        Kind("images", "instances", "i", policy.images_days, _DELIVERED, _IMAGES),
        Kind("results", "reports", "r", policy.results_days, _DELIVERED, _RESULTS),
        Kind("unrouted", "instances", "i", policy.unrouted_days, _UNROUTED, _IMAGES),
    )
    return tuple(kind for kind in every if kind.days > 0)


def plan(database: Database, kind: Kind) -> Removed:
    """What the rule would let go now; nothing is changed."""
    query = text(f"""
        SELECT count(DISTINCT u.id) AS units, count(found.id) AS objects, coalesce(sum(found.size_bytes), 0) AS size_bytes
        FROM units u CROSS JOIN LATERAL ({kind.what.format(of="= u.id")}) AS found WHERE {kind.which}
    """)
    with database.begin() as connection:
        row = connection.execute(query, {"days": kind.days}).one()
    return Removed(kind.name, kind.days, int(row.units), int(row.objects), int(row.size_bytes))


def let_go(database: Database, blobs: Blobs, kind: Kind, *, actor: str, limit: int) -> Removed:
    """Carry out one rule for up to ``limit`` units, each in a transaction of its own. Killed at any moment, the next run goes on."""
    units = objects = size_bytes = 0
    while units < limit:
        ids = _due(database, kind, min(AT_ONCE, limit - units))
        done = 0
        for unit in ids:
            with database.begin() as connection:
                count, size = _of_unit(connection, kind, unit, actor)
            done += count > 0
            objects += count
            size_bytes += size
        units += done
        if not done:
            break
    removals.carry_out(database, blobs)
    return Removed(kind.name, kind.days, units, objects, size_bytes)


def _due(database: Database, kind: Kind, limit: int) -> list[int]:
    query = text(f"""
        SELECT u.id FROM units u WHERE {kind.which} AND EXISTS ({kind.what.format(of="= u.id")}) ORDER BY u.completed_at, u.id LIMIT :limit
    """)
    with database.begin() as connection:
        return list(connection.execute(query, {"days": kind.days, "limit": limit}).scalars())


def _of_unit(connection: Connection, kind: Kind, unit: int, actor: str) -> tuple[int, int]:
    """One unit, locked, and looked at again under the lock: an image may have come in since."""
    locked = connection.execute(text("SELECT id FROM units WHERE id = :id FOR NO KEY UPDATE"), {"id": unit}).one_or_none()
    still = text(f"SELECT EXISTS (SELECT FROM units u WHERE u.id = :id AND {kind.which})")
    if locked is None or not connection.execute(still, {"id": unit, "days": kind.days}).scalar_one():
        return 0, 0
    selected = text(f"{kind.what.format(of='= :id')} ORDER BY 1 FOR NO KEY UPDATE OF {kind.alias}")
    found = connection.execute(selected, {"id": unit}).all()
    mark = text(f"UPDATE {kind.table} SET removed_at = node_now() WHERE id = ANY(:ids)")
    connection.execute(mark, {"ids": [row.id for row in found]})
    removals.ask(connection, ((row.sha256, row.size_bytes) for row in found))
    size = sum(row.size_bytes for row in found)
    what = "results" if kind.table == "reports" else "images"
    details = {"rule": kind.name, "days": kind.days, what: len(found), "bytes": size}
    audit.record(connection, actor=actor, action="retention.removed", subject=f"unit:{unit}", details=details)
    counters.add(connection, [("removed", (what,), len(found))])
    return len(found), size
