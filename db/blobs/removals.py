"""Removes blobs that no row needs, safely against the same content being received at that moment.

The transaction that marks an instance or report as removed writes a row in ``blob_removals``. The file is unlinked under the lock of that
row, and content that is received again takes the same lock before the sender gets Success: it finds its bytes, or must be sent again.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from db import counters
from db.blobs.store import Blobs
from db.engine import Database

BATCH = 200

_REQUEST = text("""
    INSERT INTO blob_removals (sha256, size_bytes) VALUES (:sha256, :size_bytes) ON CONFLICT DO NOTHING
""")
_NEXT = text("""
    SELECT r.sha256, r.size_bytes,
           EXISTS (SELECT FROM instances i WHERE i.sha256 = r.sha256 AND i.removed_at IS NULL)
        OR EXISTS (SELECT FROM reports p WHERE p.sha256 = r.sha256 AND p.removed_at IS NULL)
        OR EXISTS (SELECT FROM result_overlays o WHERE o.sha256 = r.sha256 AND o.removed_at IS NULL)
        OR EXISTS (SELECT FROM quarantine q WHERE q.sha256 = r.sha256) AS needed
    FROM blob_removals r ORDER BY r.requested_at, r.sha256 LIMIT :limit FOR UPDATE OF r SKIP LOCKED
""")
_DONE = text("DELETE FROM blob_removals WHERE sha256 = ANY(:hashes)")
_CANCEL = text("DELETE FROM blob_removals WHERE sha256 = :sha256")
_RESTORE = text("UPDATE instances SET removed_at = NULL WHERE id = :id AND removed_at IS NOT NULL")

_REMOVED_INPUTS = text("""
    SELECT count(*) FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = :job AND i.removed_at IS NOT NULL
""")


def count_removed_inputs(database: Database, job_id: int) -> int:
    """Return how many instances of a job's input retention has removed."""
    with database.begin() as connection:
        return int(connection.execute(_REMOVED_INPUTS, {"job": job_id}).scalar_one())


def request_removals(connection: Connection, blobs: Iterable[tuple[str, int]]) -> None:
    """Request, in the caller's transaction, the removal of blobs given as (sha256, size in bytes)."""
    rows = [{"sha256": sha256, "size_bytes": size_bytes} for sha256, size_bytes in blobs]
    if rows:
        connection.execute(_REQUEST, rows)


def remove_blobs(database: Database, blobs: Blobs) -> int:
    """Carry out every requested removal of a blob that no row needs; return the number of bytes.

    After a crash the next call removes the rest.
    """
    removed_bytes = 0
    while True:
        with database.begin() as connection:
            found = connection.execute(_NEXT, {"limit": BATCH}).all()
            if not found:
                return removed_bytes
            size = 0
            for row in found:
                if not row.needed:
                    blobs.remove(row.sha256)
                    size += row.size_bytes
            connection.execute(_DONE, {"hashes": [row.sha256 for row in found]})
            counters.add(connection, [("removed_bytes", (), size)])
        removed_bytes += size


def restore_instance(database: Database, blobs: Blobs, instance_id: int, sha256: str) -> bool:
    """Undo the removal of an instance whose content was received again; False if its file has just been removed."""
    with database.begin() as connection:
        connection.execute(_CANCEL, {"sha256": sha256})  # waits for a process that is removing it
        if not blobs.has(sha256):
            return False
        connection.execute(_RESTORE, {"id": instance_id})
    return True
