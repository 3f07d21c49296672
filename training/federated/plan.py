"""What a federated training does in each of its rounds."""

import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.errors import ConfigurationError

HEAD, ALL = "head", "all"
# Smallest and largest whole number of each field. A site trains what the coordinator asks for, so that the largest are a limit of its work.
WHOLE: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"rounds": (1, 10_000), "steps": (1, 100_000), "seed": (0, 2**31 - 1), "min_sites": (2, 1_000), "round_s": (1, 7 * 86_400)}
)
FASTEST = 1.0  # learning rate
HINT = "choose a value in this range; docs/federated.md says what it means"


@dataclass(frozen=True, slots=True)
class FederatedPlan:
    """Sent to every site with each round.

    Attributes
    ----------
    rounds, steps
        Rounds in all, and training steps of a site in each.
    scope
        ``head``: the last layer alone, so that outlines and the distance from the training images stay as they are. ``all``: every layer.
    min_sites
        A round needs the accepted updates of so many sites.
    round_s
        A round ends after this many seconds, with the updates that have arrived.
    """

    rounds: int = 10
    steps: int = 40
    scope: str = HEAD
    learning_rate: float = 2e-3
    seed: int = 20
    min_sites: int = 2
    round_s: int = 3600

    def check(self) -> None:
        """Raise ConfigurationError for values that no training can have, and for more work than a site may be asked for."""
        if self.scope not in (HEAD, ALL):
            raise ConfigurationError(f"the scope of a federated training must be {HEAD} or {ALL}, not {_shown(self.scope)}")
        if self.min_sites == 1 and self.min_sites is not True:
            raise ConfigurationError("a round needs at least 2 sites, not 1", hint="one site alone trains with `models train`")
        for name, (low, high) in WHOLE.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                wanted = f"{name} of a federated training must be a whole number from {low} to {high}"
                raise ConfigurationError(f"{wanted}, not {_shown(value)}", hint=HINT)
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= FASTEST:  # nan is in no range
            wanted = f"learning_rate of a federated training must be a number above 0 and at most {FASTEST:g}"
            raise ConfigurationError(f"{wanted}, not {_shown(rate)}", hint=HINT)

    def rate(self, number: int) -> float:
        """Learning rate of round ``number`` (from 0): half a cosine down to a tenth of the first."""
        return self.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * number / self.rounds)))

    def write(self, path: Path) -> None:
        """Write the plan as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, text: str) -> "FederatedPlan":
        """The plan of a JSON text. Raises ConfigurationError for anything else."""
        try:
            plan = cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            hint = "coordinator and sites need the same version of dicom-node; an interrupted training is begun in an empty folder"
            raise ConfigurationError(f"this is no plan of a federated training: {error}", hint=hint) from error
        plan.check()
        return plan


def _shown(value: Any) -> str:
    """A value for a message, at most a few dozen characters of it."""
    return reprlib.repr(value)
