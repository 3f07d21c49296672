"""Blobs that no row names: what a kill between a blob and its row left, or an attempt whose result was made again (decision 0039).

A name may wait for its row: so only what is older than the days of the policy goes, and that is looked at once more while nobody
can give the name to other bytes.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import text

from core.errors import StorageError
from db import audit, counters
from db.blobs.store import Blobs
from db.engine import Database

AT_ONCE = 500
FEW = 100  # so many may be more than half of what is there

_UNNAMED = text("""
    SELECT h.sha256 FROM unnest(CAST(:hashes AS text[])) AS h (sha256)
    WHERE NOT EXISTS (SELECT FROM instances i WHERE i.sha256 = h.sha256)
      AND NOT EXISTS (SELECT FROM reports r WHERE r.sha256 = h.sha256)
      AND NOT EXISTS (SELECT FROM quarantine q WHERE q.sha256 = h.sha256)
      AND NOT EXISTS (SELECT FROM blob_removals m WHERE m.sha256 = h.sha256)
    ORDER BY h.sha256
""")


def count(database: Database, blobs: Blobs, days: int) -> tuple[int, int]:
    """How many files older than that no row names, and their bytes; nothing is changed."""
    found = [one for some in _found(database, blobs, days) for one in some]
    return len(found), sum(size for _, size in found)


def remove(database: Database, blobs: Blobs, days: int, *, actor: str, limit: int) -> tuple[int, int]:
    """Remove up to ``limit`` of them; gives how many, and their bytes. The audit trail says so before they go.

    Raises
    ------
    StorageError
        Most of what is there has no row: this is the database of another folder, or an older one than its blobs.
    """
    selected = [one for some in _found(database, blobs, days) for one in some][:limit]
    files = size_bytes = 0
    for at in range(0, len(selected), AT_ONCE):
        hashes = [sha256 for sha256, _ in selected[at : at + AT_ONCE]]
        with blobs.alone():
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


def _found(database: Database, blobs: Blobs, days: int) -> Iterator[list[tuple[str, int]]]:
    """(sha256, size) of what has no row, folder by folder; at the end a word of doubt where that is most."""
    strays = looked_at = 0
    for entries in blobs.folders():
        looked_at += len(entries)
        unnamed = _unnamed(database, entries)
        found = [(sha256, size) for sha256 in unnamed if (size := blobs.size_if_older(sha256, days)) is not None]
        strays += len(found)
        yield found
    if strays > FEW and 2 * strays > looked_at:
        message = f"{strays} of {looked_at} blobs have no row: this is not the database of this folder, or it was restored from before them"
        raise StorageError(message, hint="nothing was removed; see doctor, and retention.strays_days in docs/operations.md")


def _unnamed(database: Database, hashes: Sequence[str]) -> list[str]:
    with database.begin() as connection:
        return list(connection.execute(_UNNAMED, {"hashes": list(hashes)}).scalars())
