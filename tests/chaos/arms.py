"""What is armed where: the harness's side of `hook/sitecustomize.py`."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOOK = Path(__file__).parent / "hook"


@dataclass(frozen=True, slots=True)
class Arms:
    """A folder: a file named like a step is armed; in ``fired`` lies what struck."""

    folder: Path

    @classmethod
    def laid(cls, folder: Path) -> "Arms":
        (folder / "fired").mkdir(parents=True)
        return cls(folder)

    def environment(self) -> dict[str, str]:
        """What makes the node's processes look here."""
        return {"CHAOS_ARMS": str(self.folder), "PYTHONPATH": f"{HOOK}:{ROOT}"}

    def arm(self, step: str, do: str = "kill", *, subject: str = "", always: bool = False) -> bool:
        """Strike at the next ``step`` (of ``subject`` alone; again and again). False: something is armed there already."""
        fresh = self.folder / f".{step}.{do}"
        fresh.write_text(json.dumps({"do": do, "subject": subject, "always": always}))
        try:
            os.link(fresh, self.folder / step)  # as a whole, or not at all
        except FileExistsError:
            return False
        finally:
            fresh.unlink()
        return True

    def armed(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_file() and path.name[0] != ".")

    def disarm(self, step: str) -> None:
        (self.folder / step).unlink(missing_ok=True)

    def fired(self) -> list[tuple[str, str]]:
        """(step, what struck), in no order."""
        struck = []
        for path in (self.folder / "fired").iterdir():
            area, label, do, *_ = path.name.split(".")
            struck.append((f"{area}.{label}", do))
        return struck
