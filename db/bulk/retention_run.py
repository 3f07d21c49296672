"""The policy of retention, kind by kind: what would be deleted, and the deletion in parts. Orphaned blobs: `db.blobs.orphaned_blobs`."""

from core.counted import counted
from core.settings.operations import RetentionSection
from db.blobs.store import Blobs
from db.commitment import expiry
from db.engine import Database
from db.operations.retention import DueUnit, RemovedObjects, RetentionRule, apply_rule, due_units, plan_removal, retention_rules

RECORDS = "records"
_OBJECTS = {
    "images": ("image", "images"),
    "results": ("result object", "result objects"),
    "unrouted": ("image that no route took", "images that no route took"),
    RECORDS: ("storage commitment request", "storage commitment requests"),
}


def retention_kinds(policy: RetentionSection) -> dict[str, int]:
    """Return kind -> days of what the policy deletes, in the order in which it is deleted."""
    rules = {rule.name: rule.days for rule in retention_rules(policy)}
    return {**rules, RECORDS: policy.records_days} if policy.records_days else rules


def policy_in_words(policy: RetentionSection) -> str:
    """Return what the policy deletes after how many days, as ``images 30, records 90``; "" where it deletes nothing."""
    return ", ".join(f"{kind} {days}" for kind, days in retention_kinds(policy).items())


def plan_kind(database: Database, policy: RetentionSection, kind: str, *, limit: int | None) -> RemovedObjects:
    """Return what would be deleted of a kind now, of up to ``limit`` units; nothing is changed."""
    if kind != RECORDS:
        return plan_removal(database, _rule(policy, kind), limit=limit)
    count = expiry.count_expired(database, policy.records_days)
    return _of_records(policy, count if limit is None else min(limit, count))


def apply_kind(database: Database, blobs: Blobs, policy: RetentionSection, kind: str, *, actor: str, limit: int) -> RemovedObjects:
    """Delete up to ``limit`` units of a kind, or as many records; return what was deleted, which is nothing where nothing is left."""
    if kind != RECORDS:
        return apply_rule(database, blobs, _rule(policy, kind), actor=actor, limit=limit)
    return _of_records(policy, expiry.delete_expired(database, policy.records_days, actor=actor, limit=limit))


def first_units(database: Database, policy: RetentionSection, kind: str, *, limit: int) -> list[DueUnit]:
    """Return the first units of a kind of which files would be deleted; none for records, which are of no unit."""
    return [] if kind == RECORDS else due_units(database, _rule(policy, kind), limit=limit)


def removed_in_words(kind: str, units: int, objects: int) -> str:
    """Return a number of deleted objects in words, as ``3 images of 1 unit``."""
    of = f" of {counted(units, 'unit')}" if units else ""
    return counted(objects, *_OBJECTS[kind]) + of


def _rule(policy: RetentionSection, kind: str) -> RetentionRule:
    return next(rule for rule in retention_rules(policy) if rule.name == kind)


def _of_records(policy: RetentionSection, count: int) -> RemovedObjects:
    return RemovedObjects(RECORDS, policy.records_days, 0, count, 0)
