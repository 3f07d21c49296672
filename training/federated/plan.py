"""What a federated training does in each of its rounds."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import ConfigurationError

HEAD, ALL = "head", "all"


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
        """Raise ConfigurationError for values that no training can have."""
        if self.scope not in (HEAD, ALL):
            raise ConfigurationError(f"the scope is {HEAD} or {ALL}, not {self.scope!r}")
        if self.min_sites < 2:
            raise ConfigurationError("a round needs at least 2 sites", hint="one site alone trains with `models train`")
        if min(self.rounds, self.steps, self.round_s) < 1 or self.learning_rate <= 0:
            raise ConfigurationError("rounds, steps, seconds and learning rate are positive")

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
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"this is no plan of a federated training: {error}") from error
        plan.check()
        return plan
