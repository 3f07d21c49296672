"""The figures that a model is meant to reach (``targets.toml`` of its training package), shown on its page beside the measured ones."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelError
from models.card import Number, Text, no_other_keys
from models.table_validation import require, validate_table

FILE = "targets.toml"
FIX = f"correct {FILE}"
SOURCES = ("card", "cross-validation")


@no_other_keys
@dataclass(frozen=True, slots=True)
class Target:
    """The limit for one figure.

    ``of``: the card's metrics or the cross-validation; ``figure``: the dotted path there; one of ``least`` and ``most`` is set.
    """

    what: Text
    of: Text
    figure: Text
    least: Number | None = None
    most: Number | None = None

    def __post_init__(self) -> None:
        require(self.of in SOURCES, f"a target is of {' or '.join(SOURCES)}, not {self.of!r}", FIX)
        require((self.least is None) != (self.most is None), f"target {self.what!r} needs one of least and most", FIX)

    @property
    def limit(self) -> float:
        """The value to be reached."""
        return self.least if self.least is not None else self.most or 0.0

    def shortfall(self, value: float) -> float:
        """Distance of ``value`` from the limit on the wrong side; 0 or less where the target is reached."""
        return self.limit - value if self.least is not None else value - self.limit


@no_other_keys
@dataclass(frozen=True, slots=True)
class Targets:
    """All targets of a model, and what was ``tried`` to reach those that are missed."""

    targets: tuple[Target, ...]
    tried: Text


def read_targets(folder: Path) -> Targets | None:
    """Read targets.toml of a training package; None where it has none. Raises ModelError that names the file and the fault."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return validate_table(Targets, tomllib.loads(path.read_text(encoding="utf-8")), "targets", FIX)
    except (ModelError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: {error}") from error


def measured_value(target: Target, metrics: Mapping[str, Any], folds: Mapping[str, Any] | None) -> float | None:
    """The measured value of the target's figure; None where it was not measured for these weights."""
    found: Any = metrics if target.of == "card" else folds
    for key in target.figure.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return None if found is None else float(found)
