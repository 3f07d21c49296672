"""Retention: removes the files of units whose results have reached every destination. Rows and hashes remain.

A unit keeps its files while a job of it is not delivered (a failed one may be queued again), while a shadow waits or runs, while a delivery
is under way, failed or held, while a destination that was asked for storage commitment has not committed, and if no destination has stored
its result.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from core.settings.operations import RetentionSection
from db import audit, counters
from db.blobs import removals
from db.blobs.store import Blobs
from db.engine import Database

AT_ONCE = 200

# A trial (`dicom-node trial`) runs shadows on old units: that one has a result, or has failed, keeps no images.
_NO_SHADOW_RUNS = "NOT EXISTS (SELECT FROM jobs j WHERE j.unit_id = u.id AND j.shadow AND j.state IN ('queued', 'running'))"
_DELIVERED = f"""
    u.state = 'complete' AND u.outcome IS NULL
    AND u.last_received_at < node_now() - make_interval(days => :days)
    AND EXISTS (SELECT FROM jobs j WHERE j.unit_id = u.id AND NOT j.shadow AND j.state = 'delivered')
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.unit_id = u.id AND NOT j.shadow AND j.state NOT IN ('superseded', 'cancelled')
                    AND (j.state <> 'delivered' OR j.delivered_at >= node_now() - make_interval(days => :days)
                         OR NOT EXISTS (SELECT FROM deliveries d WHERE d.job_id = j.id AND d.state IN ('stored', 'committed'))))
    AND {_NO_SHADOW_RUNS}
    AND NOT EXISTS (SELECT FROM jobs j JOIN deliveries d ON d.job_id = j.id WHERE j.unit_id = u.id
                    AND (d.state IN ('pending', 'sending') OR d.state = 'stored' AND d.commit_wanted
                         OR j.state <> 'superseded' AND d.state NOT IN ('stored', 'committed', 'withdrawn', 'given_up')))
    AND NOT EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'undecided')
"""
_UNROUTED = f"""
    u.state = 'complete' AND u.outcome IS NOT NULL AND u.completed_at < node_now() - make_interval(days => :days)
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.unit_id = u.id AND NOT j.shadow AND j.state NOT IN ('superseded', 'cancelled'))
    AND {_NO_SHADOW_RUNS}
    AND NOT EXISTS (SELECT FROM jobs j JOIN deliveries d ON d.job_id = j.id WHERE j.unit_id = u.id
                    AND (d.state IN ('pending', 'sending') OR d.state = 'stored' AND d.commit_wanted))
    AND NOT EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'undecided')
"""
_IMAGES = "SELECT i.id, i.sha256, i.size_bytes FROM instances i WHERE i.unit_id {of} AND i.removed_at IS NULL"
_RESULTS = """
    SELECT r.id, r.sha256, r.size_bytes FROM reports r JOIN jobs j ON j.id = r.job_id WHERE j.unit_id {of} AND r.removed_at IS NULL
"""

# Who sends a result again locks its job, and not the unit.
_LOCK_JOBS = text("SELECT id FROM jobs WHERE unit_id = :id ORDER BY id FOR NO KEY UPDATE")
_REMOVE_OVERLAYS = text("""
    UPDATE result_overlays o SET removed_at = node_now() FROM jobs j
    WHERE j.id = o.job_id AND j.unit_id = :id AND o.removed_at IS NULL RETURNING o.sha256, o.size_bytes
""")


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """A rule: which objects of which units are removed after how many days. ``condition`` and ``objects`` are SQL."""

    name: str
    table: str  # whose rows are marked
    alias: str  # of the table in ``objects``
    days: int
    condition: str  # on the unit ``u``
    objects: str  # query of (id, sha256, size_bytes); ``{of}`` stands for the comparison with the unit's id


@dataclass(frozen=True, slots=True)
class RemovedObjects:
    """What a rule has removed, or would remove."""

    kind: str  # name of the rule
    days: int
    units: int
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DueUnit:
    """A unit of which a rule would remove files, and how many."""

    unit_id: int
    study_instance_uid: str
    completed_at: datetime
    objects: int
    size_bytes: int


def retention_rules(policy: RetentionSection) -> tuple[RetentionRule, ...]:
    """Return the rules that are switched on (their days are more than 0)."""
    all_rules = (
        RetentionRule("images", "instances", "i", policy.images_days, _DELIVERED, _IMAGES),
        RetentionRule("results", "reports", "r", policy.results_days, _DELIVERED, _RESULTS),
        RetentionRule("unrouted", "instances", "i", policy.unrouted_days, _UNROUTED, _IMAGES),
    )
    return tuple(rule for rule in all_rules if rule.days > 0)


def plan_removal(database: Database, rule: RetentionRule, *, limit: int | None = None) -> RemovedObjects:
    """Return what the rule would remove now, of up to ``limit`` units (None: of all); nothing is changed."""
    query = text(f"""
        SELECT count(DISTINCT due.id) AS units, count(found.id) AS objects, coalesce(sum(found.size_bytes), 0) AS size_bytes
        FROM ({_due_units(rule)}) AS due CROSS JOIN LATERAL ({rule.objects.format(of="= due.id")}) AS found
    """)
    with database.begin() as connection:
        row = connection.execute(query, {"days": rule.days, "limit": limit}).one()
    return RemovedObjects(rule.name, rule.days, int(row.units), int(row.objects), int(row.size_bytes))


def due_units(database: Database, rule: RetentionRule, *, limit: int) -> list[DueUnit]:
    """Return the first units of which the rule would remove files, in the order in which it does."""
    query = text(f"""
        SELECT u.id AS unit_id, st.study_instance_uid, u.completed_at, count(found.id) AS objects,
               sum(found.size_bytes)::bigint AS size_bytes
        FROM ({_due_units(rule)}) AS due JOIN units u ON u.id = due.id JOIN series se ON se.id = u.series_id
        JOIN studies st ON st.id = se.study_id CROSS JOIN LATERAL ({rule.objects.format(of="= due.id")}) AS found
        GROUP BY u.id, st.study_instance_uid ORDER BY u.completed_at, u.id
    """)
    with database.begin() as connection:
        return [DueUnit(**row) for row in connection.execute(query, {"days": rule.days, "limit": limit}).mappings()]


def apply_rule(database: Database, blobs: Blobs, rule: RetentionRule, *, actor: str, limit: int) -> RemovedObjects:
    """Apply a rule to up to ``limit`` units, each in a transaction of its own. After a crash the next run continues."""
    units = objects = size_bytes = 0
    while units < limit:
        ids = _due(database, rule, min(AT_ONCE, limit - units))
        done = 0
        for unit in ids:
            with database.begin() as connection:
                count, size = _of_unit(connection, rule, unit, actor)
            done += count > 0
            objects += count
            size_bytes += size
        units += done
        if not done:
            break
    removals.remove_blobs(database, blobs)
    return RemovedObjects(rule.name, rule.days, units, objects, size_bytes)


def _due(database: Database, rule: RetentionRule, limit: int) -> list[int]:
    with database.begin() as connection:
        return list(connection.execute(text(_due_units(rule)), {"days": rule.days, "limit": limit}).scalars())


def _due_units(rule: RetentionRule) -> str:
    """The query of the units that a rule concerns, in the order in which it is applied."""
    return f"""
        SELECT u.id FROM units u WHERE {rule.condition} AND EXISTS ({rule.objects.format(of="= u.id")})
        ORDER BY u.completed_at, u.id LIMIT :limit
    """


def _of_unit(connection: Connection, rule: RetentionRule, unit: int, actor: str) -> tuple[int, int]:
    """Apply a rule to one unit, after checking it again with the unit and its jobs locked; return the number of objects and bytes."""
    locked = connection.execute(text("SELECT id FROM units WHERE id = :id FOR NO KEY UPDATE"), {"id": unit}).one_or_none()
    connection.execute(_LOCK_JOBS, {"id": unit})
    still = text(f"SELECT EXISTS (SELECT FROM units u WHERE u.id = :id AND {rule.condition})")
    if locked is None or not connection.execute(still, {"id": unit, "days": rule.days}).scalar_one():
        return 0, 0
    query = text(f"{rule.objects.format(of='= :id')} ORDER BY 1 FOR NO KEY UPDATE OF {rule.alias}")
    found = connection.execute(query, {"id": unit}).all()
    mark = text(f"UPDATE {rule.table} SET removed_at = node_now() WHERE id = ANY(:ids)")
    connection.execute(mark, {"ids": [row.id for row in found]})
    removals.request_removals(connection, ((row.sha256, row.size_bytes) for row in found))
    objects = "results" if rule.table == "reports" else "images"
    if objects == "results":  # the viewer's outlines and heat maps go with the result
        overlays = connection.execute(_REMOVE_OVERLAYS, {"id": unit})
        removals.request_removals(connection, ((row.sha256, row.size_bytes) for row in overlays))
    size = sum(row.size_bytes for row in found)
    details = {"rule": rule.name, "days": rule.days, objects: len(found), "bytes": size}
    audit.record(connection, actor=actor, action="retention.removed", subject=f"unit:{unit}", details=details)
    counters.add(connection, [("removed", (objects,), len(found))])
    return len(found), size
