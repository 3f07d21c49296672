"""Blobs on their way out: removed only when no row needs them, whoever sends them again at that moment.

Letting go is a row here, in the transaction that marks the instance or report. The file is unlinked under this row's lock, and
what comes in again takes the same lock before Success: it finds either its bytes, or that they have just gone and must come again.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from db import counters
from db.blobs.store import Blobs
from db.engine import Database

AT_ONCE = 200

_ASK = text("""
    INSERT INTO blob_removals (sha256, size_bytes) VALUES (:sha256, :size_bytes) ON CONFLICT DO NOTHING
""")
_NEXT = text("""
    SELECT r.sha256, r.size_bytes,
           EXISTS (SELECT FROM instances i WHERE i.sha256 = r.sha256 AND i.removed_at IS NULL)
        OR EXISTS (SELECT FROM reports p WHERE p.sha256 = r.sha256 AND p.removed_at IS NULL)
        OR EXISTS (SELECT FROM quarantine q WHERE q.sha256 = r.sha256) AS needed
    FROM blob_removals r ORDER BY r.requested_at, r.sha256 LIMIT :limit FOR UPDATE OF r SKIP LOCKED
""")
_DONE = text("DELETE FROM blob_removals WHERE sha256 = ANY(:hashes)")
_CALL_OFF = text("DELETE FROM blob_removals WHERE sha256 = :sha256")
_BACK = text("UPDATE instances SET removed_at = NULL WHERE id = :id AND removed_at IS NOT NULL")

_OF_JOB = text("""
    SELECT count(*) FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = :job AND i.removed_at IS NOT NULL
""")


def of_job(database: Database, job_id: int) -> int:
    """How many of a job's images were let go."""
    with database.begin() as connection:
        return int(connection.execute(_OF_JOB, {"job": job_id}).scalar_one())


def ask(connection: Connection, blobs: Iterable[tuple[str, int]]) -> None:
    """These (sha256, size) are needed no more, in the caller's transaction."""
    rows = [{"sha256": sha256, "size_bytes": size_bytes} for sha256, size_bytes in blobs]
    if rows:
        connection.execute(_ASK, rows)


def carry_out(database: Database, blobs: Blobs) -> int:
    """Remove every blob that was let go and is needed by no row; gives how many bytes. Killed in between, the rest is done next time."""
    removed_bytes = 0
    while True:
        with database.begin() as connection:
            found = connection.execute(_NEXT, {"limit": AT_ONCE}).all()
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


def came_again(database: Database, blobs: Blobs, instance_id: int, sha256: str) -> bool:
    """The content of an instance that was let go came in again: its bytes count again. False where they have just been removed."""
    with database.begin() as connection:
        connection.execute(_CALL_OFF, {"sha256": sha256})  # waits for who is removing it
        if not blobs.path(sha256).is_file():
            return False
        connection.execute(_BACK, {"id": instance_id})
    return True
