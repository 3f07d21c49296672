"""Removes blobs that no row names: left by a crash between blob and row, or by an attempt whose result was made again (decision 0039).

A new blob may still wait for its row. So only blobs older than the days of the policy are removed, and each is checked once more under a
lock that keeps other processes from giving its name to other bytes.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import text

from core.errors import StorageError
from db import audit, counters
from db.blobs.store import Blobs
from db.engine import Database

BATCH = 500
FEW_BLOBS = 100  # up to this number, orphans may be more than half of all blobs

_UNNAMED = text("""
    SELECT h.sha256 FROM unnest(CAST(:hashes AS text[])) AS h (sha256)
    WHERE NOT EXISTS (SELECT FROM instances i WHERE i.sha256 = h.sha256)
      AND NOT EXISTS (SELECT FROM reports r WHERE r.sha256 = h.sha256)
      AND NOT EXISTS (SELECT FROM result_overlays o WHERE o.sha256 = h.sha256)
      AND NOT EXISTS (SELECT FROM quarantine q WHERE q.sha256 = h.sha256)
      AND NOT EXISTS (SELECT FROM blob_removals m WHERE m.sha256 = h.sha256)
    ORDER BY h.sha256
""")


def count_orphans(database: Database, blobs: Blobs, days: int, *, limit: int | None = None) -> tuple[int, int]:
    """Return the number and the bytes of orphaned blobs older than ``days``, up to ``limit`` of them; nothing is changed."""
    found = [blob for folder in _orphans(database, blobs, days) for blob in folder][:limit]
    return len(found), sum(size for _, size in found)


def remove_orphans(database: Database, blobs: Blobs, days: int, *, actor: str, limit: int) -> tuple[int, int]:
    """Remove up to ``limit`` orphaned blobs; return their number and bytes. The audit event is written before the files are removed.

    Raises
    ------
    StorageError
        Most blobs have no row: the database belongs to another folder, or is older than the blobs.
    """
    orphans = [blob for folder in _orphans(database, blobs, days) for blob in folder][:limit]
    files = size_bytes = 0
    for at in range(0, len(orphans), BATCH):
        hashes = [sha256 for sha256, _ in orphans[at : at + BATCH]]
        with blobs.exclusive():
            still = [(sha256, size) for sha256 in _unnamed(database, hashes) if (size := blobs.size_if_older(sha256, days)) is not None]
            if not still:
                continue
            size = sum(size for _, size in still)
            with database.begin() as connection:
                details = {"rule": "strays", "days": days, "files": len(still), "bytes": size}
                audit.record(connection, actor=actor, action="retention.removed", subject="blobs", details=details)
                counters.add(connection, [("removed", ("strays",), len(still)), ("removed_bytes", (), size)])
            for sha256, _ in still:
                blobs.unlink(sha256)
        files, size_bytes = files + len(still), size_bytes + size
    return files, size_bytes


def _orphans(database: Database, blobs: Blobs, days: int) -> Iterator[list[tuple[str, int]]]:
    """Yield (sha256, size) of blobs without a row, folder by folder; raise StorageError at the end if they are the majority."""
    orphans = checked = 0
    for entries in filter(None, blobs.folders()):  # no query for an empty folder
        checked += len(entries)
        unnamed = _unnamed(database, entries)
        found = [(sha256, size) for sha256 in unnamed if (size := blobs.size_if_older(sha256, days)) is not None]
        orphans += len(found)
        yield found
    if orphans > FEW_BLOBS and 2 * orphans > checked:
        message = f"{orphans} of {checked} blobs have no row: the database belongs to another folder, or was restored from before them"
        raise StorageError(message, hint="nothing was removed; see doctor, and retention.strays_days in docs/operations.md")


def _unnamed(database: Database, hashes: Sequence[str]) -> list[str]:
    with database.begin() as connection:
        return list(connection.execute(_UNNAMED, {"hashes": list(hashes)}).scalars())
