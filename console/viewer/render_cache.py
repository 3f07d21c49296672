"""The folder of decoded images, ``viewer-cache`` in the data folder: limited in size and in age, closed to other users.

Decoded images are patient data. They are removed when they were not displayed for some hours, and at once when retention has removed
the images themselves.
"""

import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from console.viewer.earlier_slices import SLICES, contained_renderings
from console.viewer.render_process import META

UNFINISHED = ".part"
OLDER_STEP_S = 30.0  # an open viewer that shows fewer slices of a series takes the others within seconds


class RenderCache:
    """One folder for each unit that was decoded, named by the unit and the content of its images."""

    def __init__(self, folder: Path, *, max_bytes: int, keep_s: float) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._keep_s = keep_s
        # Not the number of the process: in a container every console has the same one, and would take over what a killed one has left.
        self._unfinished = f"{UNFINISHED}-{secrets.token_hex(8)}-"

    def path(self, name: str) -> Path:
        """Return the folder of an entry."""
        return self.folder / name

    def find(self, name: str) -> dict[str, Any] | None:
        """Return the description of an entry, which counts as used now; None where there is none."""
        try:
            meta: dict[str, Any] = json.loads((self.path(name) / META).read_text())
            os.utime(self.path(name))
        except (OSError, ValueError):
            return None
        return meta

    def find_earlier(self, name: str) -> Path | None:
        """Return the entry of the same unit that was used last and has a list of its slices; None where there is none."""
        found: list[tuple[float, Path | None]] = []
        for path in self.folder.glob(f"{name.rpartition('-')[0]}-*"):
            with suppress(OSError):  # another process removes it at this moment
                if UNFINISHED not in path.name and (path / META).is_file() and (path / SLICES).is_file():
                    found.append((path.stat().st_mtime, path))
        return max(found, default=(0.0, None))[1]

    def new_folder(self, name: str, number: int) -> Path:
        """Return an empty folder to decode into. Raises OSError where it cannot be made."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = self.folder / f"{name}{self._unfinished}{number}"
        made.mkdir(mode=0o700)
        return made

    def keep(self, made: Path, name: str) -> None:
        """Make a finished folder the entry of that name."""
        shutil.rmtree(self.path(name), ignore_errors=True)
        made.rename(self.path(name))

    def remove_unit(self, unit_id: int) -> None:
        """Remove every entry of a unit."""
        for path in self.folder.glob(f"unit-{unit_id}-*"):
            shutil.rmtree(path, ignore_errors=True)

    def make_room(self, needed_bytes: int, decoding: Path | None = None) -> None:
        """Remove what has expired and older steps of series that have grown, then what was used least recently, as far as needed.

        ``needed_bytes`` more are within the limit afterwards; ``decoding`` is the folder into which they are written.
        """
        entries = []
        now = time.time()
        for path in self.folder.glob("*"):
            if path == decoding:
                continue
            try:
                used, size = path.stat().st_mtime, sum(file.stat().st_size for file in path.iterdir())
            except OSError:  # another process removes it at this moment
                continue
            entries.append((used, path, size))
        older = _older_steps({path: used for used, path, _ in entries}, now)
        total = needed_bytes + sum(size for _, _, size in entries)
        for used, path, size in sorted(entries):
            if self._unfinished in path.name:
                continue  # this process decodes into it
            if path not in older and total <= self.max_bytes and now - used <= self._keep_s:
                continue
            shutil.rmtree(path, ignore_errors=True)
            total -= size


def _older_steps(used_at: Mapping[Path, float], now: float) -> set[Path]:
    """Return entries that a larger entry of the same unit contains, and that were not used lately: a series leaves one as it grows."""
    units: dict[str, list[Path]] = {}
    for path in used_at:
        if UNFINISHED not in path.name:
            units.setdefault(path.name.rpartition("-")[0], []).append(path)
    contained = [path for found in units.values() if len(found) > 1 for path in contained_renderings(found)]
    return {path for path in contained if now - used_at[path] > OLDER_STEP_S}
