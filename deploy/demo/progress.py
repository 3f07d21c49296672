"""What has happened in the demo so far: printed as it goes on, and collected for ``--json``."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.terminal import print_message


@dataclass(slots=True)
class DemoProgress:
    """Times, problems and results of one run of the demo.

    Attributes
    ----------
    folder
        The temporary folder of the run.
    seconds
        Step -> seconds from the start to its end.
    problems
        One sentence each; the demo succeeds only if there is none.
    document
        What ``--json`` gets beside these.
    """

    folder: Path
    started: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)

    def print(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        print_message(f"{time.monotonic() - self.started:6.1f} s  {text}")

    def finish_step(self, name: str) -> None:
        """Record that a step is finished now."""
        self.seconds[name] = round(time.monotonic() - self.started, 2)
