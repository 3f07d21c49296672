"""What happened in the demo, told as it goes on."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.cli.common import say


@dataclass(slots=True)
class Story:
    """What happened, for people and for ``--json``."""

    folder: Path
    started: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)

    def tell(self, text: str) -> None:
        say(f"{time.monotonic() - self.started:6.1f} s  {text}")

    def reached(self, name: str) -> None:
        self.seconds[name] = round(time.monotonic() - self.started, 2)
