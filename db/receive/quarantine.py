"""Quarantine: refused data sets with the reason, by content. The total size is limited, and the oldest are removed first."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from core.errors import ConfigurationError
from db import audit
from db.blobs import removals
from db.blobs.blob_ref import BlobRef
from db.engine import Database
from db.listings.quarantine import COLUMNS, QuarantinedItem
from db.row_values import clean_text

REMOVE_BATCH = 500
_LOCK = 0x7175617261  # "quara": one process at a time compares the size with the limit; refusals are rare
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
# Deletes as many of the oldest as exceed the limit.
_REMOVE_OLDEST = text("""
    WITH oldest AS (SELECT id, size_bytes, last_at FROM quarantine ORDER BY last_at, id LIMIT :batch),
         ranked AS (SELECT id, sum(size_bytes) OVER (ORDER BY last_at, id) - size_bytes AS before FROM oldest),
         removed AS (DELETE FROM quarantine WHERE id IN (SELECT id FROM ranked WHERE before < :excess) RETURNING sha256, size_bytes)
    SELECT sha256, size_bytes FROM removed
""")
_DELETE = text("DELETE FROM quarantine WHERE id = :id")
_GET = text(f"SELECT {COLUMNS} FROM quarantine WHERE id = :id")


def quarantine_instance(
    database: Database, *, blob: BlobRef, reason: str, status: int, sop_class_uid: str, sop_instance_uid: str, association_id: UUID,
    source: str, max_bytes: int,
) -> list[str]:  # fmt: skip
    """Record a refused data set; the same content again is counted.

    Returns
    -------
    list of str
        SHA-256 of blobs whose removal was requested (`db.blobs.removals`) because the quarantine exceeds ``max_bytes``. This one is among
        them if it exceeds the limit alone.
    """
    values = {
        "sha256": blob.sha256,
        "size_bytes": blob.size_bytes,
        "reason": clean_text(reason),
        "status": status,
        "sop_class_uid": clean_text(sop_class_uid),
        "sop_instance_uid": clean_text(sop_instance_uid),
        "association_id": str(association_id),
        "source": clean_text(source),
    }
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        kept = connection.execute(_KEEP, values).one()
        details = {"sha256": blob.sha256, "status": f"0x{status:04X}", "times": kept.times, "association": str(association_id)}
        audit.record(
            connection, actor=f"ae:{values['source']}", action="instance.refused", subject=f"quarantine:{kept.id}", details=details
        )
        removed = _remove_oldest(connection, max_bytes)
        for row in removed:
            audit.record(
                connection, actor="node", action="quarantine.removed", subject="quarantine", details={"sha256": row.sha256, "why": "bound"}
            )
        removals.request_removals(connection, ((row.sha256, row.size_bytes) for row in removed))
    return [row.sha256 for row in removed]


def _remove_oldest(connection: Connection, max_bytes: int) -> list[Row[Any]]:
    """Delete the oldest rows until at most ``max_bytes`` remain. The cost depends on what is deleted, not on what is kept."""
    removed: list[Row[Any]] = []
    excess = int(connection.execute(_TOTAL).scalar_one()) - max_bytes
    while excess > 0:
        rows = connection.execute(_REMOVE_OLDEST, {"excess": excess, "batch": REMOVE_BATCH}).all()
        if not rows:
            break
        removed += rows
        excess -= sum(row.size_bytes for row in rows)
    return removed


def get_quarantined(database: Database, id: int) -> QuarantinedItem:
    """Return one item.

    Raises
    ------
    ConfigurationError
        There is no item with this id.
    """
    with database.begin() as connection:
        row = connection.execute(_GET, {"id": id}).one_or_none()
    if row is None:
        raise ConfigurationError(f"there is no quarantined data set {id}", hint="dicom-node quarantine list")
    return QuarantinedItem(*row)


def remove_admitted(database: Database, id: int, *, actor: str, instance_id: int) -> None:
    """Delete the row of a data set that was admitted after all; its blob is now that of the instance."""
    with database.begin() as connection:
        if connection.execute(_DELETE, {"id": id}).rowcount:
            audit.record(
                connection, actor=actor, action="quarantine.requeued", subject=f"quarantine:{id}", details={"instance": instance_id}
            )
