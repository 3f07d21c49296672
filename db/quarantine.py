"""What was refused, kept for a person to look at: by content, bounded, the oldest go first."""

from uuid import UUID

from sqlalchemy import text

from db import audit
from db.base import Database
from db.records import BlobRef, QuarantinedItem
from db.rows import clean

_LOCK = 0x7175617261  # "quara": the bound is counted by one at a time; refusals are rare
_KEEP = text("""
    INSERT INTO quarantine (sha256, size_bytes, reason, status, sop_class_uid, sop_instance_uid, association_id, source)
    VALUES (:sha256, :size_bytes, :reason, :status, :sop_class_uid, :sop_instance_uid, CAST(:association_id AS uuid), :source)
    ON CONFLICT (sha256) DO UPDATE SET times = quarantine.times + 1, last_at = node_now(), reason = excluded.reason,
        status = excluded.status, association_id = excluded.association_id, source = excluded.source
    RETURNING id, times
""")
# The newest whose sizes add up to the bound stay. A blob that is also an instance, or a report, is not given for deletion.
_TRIM = text("""
    WITH ranked AS (SELECT id, sum(size_bytes) OVER (ORDER BY last_at DESC, id DESC) AS total FROM quarantine),
         gone AS (DELETE FROM quarantine WHERE id IN (SELECT id FROM ranked WHERE total > :max_bytes) RETURNING sha256)
    SELECT sha256, EXISTS (SELECT FROM instances i WHERE i.sha256 = gone.sha256)
                OR EXISTS (SELECT FROM reports r WHERE r.sha256 = gone.sha256) AS kept_elsewhere
    FROM gone
""")
_LIST = text("""
    SELECT id, sha256, size_bytes, reason, status, sop_class_uid, sop_instance_uid, source, first_at, last_at, times
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
        removed = connection.execute(_TRIM, {"max_bytes": max_bytes}).all()
        for row in removed:
            audit.record(
                connection, actor="node", action="quarantine.removed", subject="quarantine", details={"sha256": row.sha256, "why": "bound"}
            )
    return [row.sha256 for row in removed if not row.kept_elsewhere]


def quarantined(database: Database, limit: int = 100) -> list[QuarantinedItem]:
    """What is kept, the latest first."""
    with database.begin() as connection:
        return [QuarantinedItem(*row) for row in connection.execute(_LIST, {"limit": limit})]
