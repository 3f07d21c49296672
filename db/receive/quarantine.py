"""What was refused, kept for a person to look at: by content, bounded, the oldest go first."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from core.errors import ConfigurationError
from db import audit
from db.engine import Database
from db.records import BlobRef, QuarantinedItem
from db.row_values import clean

_LOCK = 0x7175617261  # "quara": the bound is counted by one at a time; refusals are rare
_KEEP = text("""
    INSERT INTO quarantine (sha256, size_bytes, reason, status, sop_class_uid, sop_instance_uid, association_id, source)
    VALUES (:sha256, :size_bytes, :reason, :status, :sop_class_uid, :sop_instance_uid, CAST(:association_id AS uuid), :source)
    ON CONFLICT (sha256) DO UPDATE SET times = quarantine.times + 1, last_at = node_now(), reason = excluded.reason,
        status = excluded.status, association_id = excluded.association_id, source = excluded.source
    RETURNING id, times
""")
_TOTAL = text("""
    SELECT coalesce(sum(amount), 0)::bigint AS held
    FROM (SELECT name, amount FROM counters UNION ALL SELECT name, amount FROM counter_changes) AS counted
    WHERE name = 'quarantine_bytes'
""")
# Of the oldest as many as are too much. A blob that is also an instance, or a report, is not given for deletion.
_TRIM = text("""
    WITH oldest AS (SELECT id, size_bytes, last_at FROM quarantine ORDER BY last_at, id LIMIT :at_once),
         ranked AS (SELECT id, sum(size_bytes) OVER (ORDER BY last_at, id) - size_bytes AS before FROM oldest),
         gone AS (DELETE FROM quarantine WHERE id IN (SELECT id FROM ranked WHERE before < :excess) RETURNING sha256, size_bytes)
    SELECT sha256, size_bytes, EXISTS (SELECT FROM instances i WHERE i.sha256 = gone.sha256 AND i.removed_at IS NULL)
                            OR EXISTS (SELECT FROM reports r WHERE r.sha256 = gone.sha256 AND r.removed_at IS NULL) AS kept_elsewhere
    FROM gone
""")
TRIM_AT_ONCE = 500
_TAKEN = text("DELETE FROM quarantine WHERE id = :id")
_COLUMNS = "id, sha256, size_bytes, reason, status, sop_class_uid, sop_instance_uid, source, first_at, last_at, times"
_GET = text(f"SELECT {_COLUMNS} FROM quarantine WHERE id = :id")
_LIST = text(f"""
    SELECT {_COLUMNS}
    FROM quarantine ORDER BY last_at DESC, id DESC LIMIT :limit
""")


def quarantine(
    database: Database, *, blob: BlobRef, reason: str, status: int, sop_class_uid: str, sop_instance_uid: str, association_id: UUID,
    source: str, max_bytes: int,
) -> list[str]:  # fmt: skip
    """Record a refused content; the same content again counts up.

    Returns
    -------
    list of str
        sha256 of the blobs that fell out of the bound (this one among them when it alone is larger): to be removed.
    """
    values = {
        "sha256": blob.sha256,
        "size_bytes": blob.size_bytes,
        "reason": clean(reason),
        "status": status,
        "sop_class_uid": clean(sop_class_uid),
        "sop_instance_uid": clean(sop_instance_uid),
        "association_id": str(association_id),
        "source": clean(source),
    }
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        kept = connection.execute(_KEEP, values).one()
        details = {"sha256": blob.sha256, "status": f"0x{status:04X}", "times": kept.times, "association": str(association_id)}
        audit.record(
            connection, actor=f"ae:{values['source']}", action="instance.refused", subject=f"quarantine:{kept.id}", details=details
        )
        removed = _trim(connection, max_bytes)
        for row in removed:
            audit.record(
                connection, actor="node", action="quarantine.removed", subject="quarantine", details={"sha256": row.sha256, "why": "bound"}
            )
    return [row.sha256 for row in removed if not row.kept_elsewhere]


def _trim(connection: Connection, max_bytes: int) -> list[Row[Any]]:
    """Take out the oldest until no more than ``max_bytes`` is held; what it costs depends on what goes, not on what is there."""
    removed: list[Row[Any]] = []
    excess = int(connection.execute(_TOTAL).scalar_one()) - max_bytes
    while excess > 0:
        gone = connection.execute(_TRIM, {"excess": excess, "at_once": TRIM_AT_ONCE}).all()
        if not gone:
            break
        removed += gone
        excess -= sum(row.size_bytes for row in gone)
    return removed


def get(database: Database, id: int) -> QuarantinedItem:
    """One item.

    Raises
    ------
    ConfigurationError
        There is none of this id.
    """
    with database.begin() as connection:
        row = connection.execute(_GET, {"id": id}).one_or_none()
    if row is None:
        raise ConfigurationError(f"there is no quarantined data set {id}", hint="dicom-node quarantine list")
    return QuarantinedItem(*row)


def taken(database: Database, id: int, *, actor: str, instance_id: int) -> None:
    """What was refused is indexed now: it leaves the quarantine. Its bytes are those of the instance."""
    with database.begin() as connection:
        if connection.execute(_TAKEN, {"id": id}).rowcount:
            audit.record(
                connection, actor=actor, action="quarantine.requeued", subject=f"quarantine:{id}", details={"instance": instance_id}
            )


def quarantined(database: Database, limit: int = 100) -> list[QuarantinedItem]:
    """What is kept, the latest first."""
    with database.begin() as connection:
        return [QuarantinedItem(*row) for row in connection.execute(_LIST, {"limit": limit})]
