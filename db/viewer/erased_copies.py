"""Removes decoded images of erased units from the folder of the console's viewer (`console.viewer.render_cache`).

The erasure does it in the folder of its own machine, and every console again and again in its own: in containers no other can reach it.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from db.engine import Database

_ENTRY = re.compile(r"unit-(\d{1,18})-")
_UNITS = text("SELECT id FROM units WHERE id = ANY(CAST(:ids AS bigint[]))")


def remove_erased_copies(database: Database, folder: Path) -> int:
    """Remove every entry of a unit that there is not; return how many.

    It does not depend on which units were erased, so that it can be repeated after a kill.
    """
    entries = {path: int(found[1]) for path in folder.glob("unit-*") if (found := _ENTRY.match(path.name))}
    kept = _existing(database, sorted(set(entries.values()))) if entries else frozenset()
    removed = [path for path, unit in entries.items() if unit not in kept]
    for path in removed:
        shutil.rmtree(path, ignore_errors=True)
    return len(removed)


def _existing(database: Database, ids: Sequence[int]) -> frozenset[int]:
    with database.begin() as connection:
        return frozenset(connection.execute(_UNITS, {"ids": list(ids)}).scalars())
