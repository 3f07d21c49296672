"""Arms failpoints in the processes of the node: the other side of ``process_start/sitecustomize.py``."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROCESS_START = Path(__file__).parent / "process_start"


@dataclass(frozen=True, slots=True)
class ArmedFailpoints:
    """A folder in which a file with the name of a failpoint arms it. ``fired`` in it has a file for each fault that was injected."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "ArmedFailpoints":
        """Create the folder."""
        (folder / "fired").mkdir(parents=True)
        return cls(folder)

    def environment(self) -> dict[str, str]:
        """Return the variables that make the processes of the node read the folder."""
        return {"CHAOS_FAILPOINTS": str(self.folder), "PYTHONPATH": f"{PROCESS_START}:{ROOT}"}

    def arm(self, failpoint: str, fault: str = "kill", *, subject: str = "", always: bool = False) -> bool:
        """Inject ``fault`` at the next process that reaches ``failpoint``. False: it is armed already.

        Parameters
        ----------
        subject
            Only when the failpoint is reached for this subject, such as a Study Instance UID.
        always
            Every time, not only once.
        """
        fresh = self.folder / f".{failpoint}.{fault}"
        fresh.write_text(json.dumps({"fault": fault, "subject": subject, "always": always}))
        try:
            os.link(fresh, self.folder / failpoint)  # a link appears with its whole content
        except FileExistsError:
            return False
        finally:
            fresh.unlink()
        return True

    def armed(self) -> list[str]:
        """Return the failpoints that are armed and have not fired."""
        return sorted(path.name for path in self.folder.iterdir() if path.is_file() and path.name[0] != ".")

    def disarm(self, failpoint: str) -> None:
        """Disarm a failpoint, if it is armed."""
        (self.folder / failpoint).unlink(missing_ok=True)

    def fired(self) -> list[tuple[str, str]]:
        """Return (failpoint, fault) of every injection, in no order."""
        found = []
        for path in (self.folder / "fired").iterdir():
            area, label, fault, *_ = path.name.split(".")
            found.append((f"{area}.{label}", fault))
        return found
