"""Removes decoded images of erased units from the folder of the console's viewer (`console.viewer.render_cache`)."""

import re
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

_ENTRY = re.compile(r"unit-(\d{1,18})-")


def remove_viewer_copies(folder: Path, existing: Callable[[Sequence[int]], Collection[int]]) -> int:
    """Remove every entry of a unit that is not among the ``existing`` ones; return how many.

    It does not depend on which units were erased, so that it can be repeated after a kill.
    """
    entries = {path: int(found[1]) for path in folder.glob("unit-*") if (found := _ENTRY.match(path.name))}
    kept = existing(sorted(set(entries.values()))) if entries else ()
    removed = [path for path, unit in entries.items() if unit not in kept]
    for path in removed:
        shutil.rmtree(path, ignore_errors=True)
    return len(removed)
