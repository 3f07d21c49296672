"""Removes blobs that no row needs, safely against the same content being received at that moment (decision 0039).

The transaction in which a row stops needing a blob writes a row in ``blob_removals``. Afterwards the file is removed under the lock of
that row, if no row needs it then; the row stays for an hour, as a mark. Who commits a row that names a blob reads ``blob_removals`` after
the commit (`find_requested`). Content without a mark keeps its file: it was committed before the mark, so the removal sees its row. Content
with one is stored once more (`keep_received`), under the same lock. Content that the node makes has no sender who would repeat it: its row
is committed in the transaction that takes the lock before (`keep_made`).
"""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, text

from db import counters
from db.blobs.blob_ref import BlobRef
from db.blobs.store import Blobs
from db.engine import Database

BATCH = 200
MARKED_S = 3600.0  # longer than a process takes from giving a file its name to committing the row

_REQUEST = text("""
    INSERT INTO blob_removals (sha256, size_bytes) VALUES (:sha256, :size_bytes)
    ON CONFLICT (sha256) DO UPDATE SET requested_at = node_now(), removed_at = NULL
""")
_NEEDED = """
    EXISTS (SELECT FROM instances i WHERE i.sha256 = r.sha256 AND i.removed_at IS NULL)
        OR EXISTS (SELECT FROM reports p WHERE p.sha256 = r.sha256 AND p.removed_at IS NULL)
        OR EXISTS (SELECT FROM result_overlays o WHERE o.sha256 = r.sha256 AND o.removed_at IS NULL)
        OR EXISTS (SELECT FROM quarantine q WHERE q.sha256 = r.sha256)
"""
_NEXT = text(f"""
    SELECT r.sha256, r.size_bytes, ({_NEEDED}) AS needed FROM blob_removals r
    WHERE r.removed_at IS NULL AND (CAST(:only AS text[]) IS NULL OR r.sha256 = ANY(:only))
    ORDER BY r.requested_at, r.sha256 LIMIT :limit FOR UPDATE OF r SKIP LOCKED
""")
_WITHDRAW = text("DELETE FROM blob_removals WHERE sha256 = ANY(:hashes)")
_DONE = text("UPDATE blob_removals SET removed_at = node_now() WHERE sha256 = ANY(:hashes)")
_FORGET = text("DELETE FROM blob_removals WHERE removed_at < (SELECT node_now()) - make_interval(secs => :kept_s)")
_FIND = text("SELECT sha256 FROM blob_removals WHERE sha256 = ANY(:hashes)")
_REOPEN = text("UPDATE blob_removals SET removed_at = NULL WHERE sha256 = :sha256")
# A new row has removed_at; one that was there gets none.
_HOLD = text("""
    INSERT INTO blob_removals (sha256, size_bytes, removed_at) VALUES (:sha256, :size_bytes, node_now())
    ON CONFLICT (sha256) DO UPDATE SET removed_at = NULL RETURNING removed_at IS NULL AS requested
""")
_WITHDRAW_NEEDED = text(f"DELETE FROM blob_removals r WHERE r.sha256 = :sha256 AND ({_NEEDED})")
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
    rows = [{"sha256": sha256, "size_bytes": size_bytes} for sha256, size_bytes in sorted(set(blobs))]
    if rows:
        connection.execute(_REQUEST, rows)


def remove_blobs(database: Database, blobs: Blobs, only: Sequence[str] | None = None) -> int:
    """Carry out every requested removal of a blob that no row needs, or those of ``only``; return the number of bytes.

    After a crash the next call removes the rest: a file may be gone whose removal is not marked as done.
    """
    removed_bytes = 0
    while (size := remove_batch(database, blobs, only)) is not None:
        removed_bytes += size
    return removed_bytes


def remove_batch(database: Database, blobs: Blobs, only: Sequence[str] | None = None) -> int | None:
    """Carry out some requested removals, as `remove_blobs` carries out all; return the number of bytes, None where none was left."""
    with database.begin() as connection:
        found = connection.execute(_NEXT, {"limit": BATCH, "only": None if only is None else list(only)}).all()
        if not found:
            connection.execute(_FORGET, {"kept_s": MARKED_S})
            return None
        unneeded = [row for row in found if not row.needed]
        for row in unneeded:
            blobs.remove(row.sha256)
        size = sum(int(row.size_bytes) for row in unneeded)
        connection.execute(_WITHDRAW, {"hashes": [row.sha256 for row in found if row.needed]})
        connection.execute(_DONE, {"hashes": [row.sha256 for row in unneeded]})
        counters.add(connection, [("removed_bytes", (), size)])
    return size


def find_requested(database: Database, hashes: Sequence[str]) -> set[str]:
    """Return which of these blobs `keep_received` has to keep; to be asked after the rows that name them are committed."""
    with database.begin() as connection:
        return set(connection.execute(_FIND, {"hashes": list(hashes)}).scalars())


def keep_received(database: Database, sha256: str, store: Callable[[], object], *, instance_id: int | None = None) -> None:
    """Store content once more whose removal was requested, and mark its instance as present.

    Where the row that names it is gone again, the next removal decides.

    Parameters
    ----------
    store
        Stores the bytes as a blob, whether or not it exists. Not called where the removal was withdrawn meanwhile, which keeps the file.

    Raises
    ------
    StorageError
        The bytes cannot be stored: the sender must not get Success.
    """
    with database.begin() as connection:
        if connection.execute(_REOPEN, {"sha256": sha256}).rowcount:  # waits for a process that is removing it
            store()
        if instance_id is not None:
            connection.execute(_RESTORE, {"id": instance_id})
        connection.execute(_WITHDRAW_NEEDED, {"sha256": sha256})


def keep_made(connection: Connection, blob: BlobRef, store: Callable[[], object]) -> None:
    """Keep content that is stored already, and whose row is written in the caller's transaction.

    Until that is committed, the removal of the blob can be neither requested nor carried out. ``store`` as for `keep_received`.

    Raises
    ------
    StorageError
        The bytes cannot be stored again: the row must not be committed.
    """
    if connection.execute(_HOLD, {"sha256": blob.sha256, "size_bytes": blob.size_bytes}).scalar_one():
        store()  # the file may be removed already
    connection.execute(_WITHDRAW, {"hashes": [blob.sha256]})
