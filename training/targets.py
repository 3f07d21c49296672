"""What a model was meant to reach, beside what it reached: ``aims.toml`` in its room. It serves the page, not the model."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelError
from models.card import Schema, checked, require

FILE = "aims.toml"
AIM: Schema = {"what": (str, True), "of": (str, True), "figure": (str, True), "least": (float, False), "most": (float, False)}
TOP: Schema = {"tried": (str, True), "aims": (list, True)}
SOURCES = ("card", "cross-validation")


@dataclass(frozen=True, slots=True)
class Aim:
    """One figure: ``of`` the card's metrics or of the cross-validation, ``figure`` its keys with dots; one of ``least`` and ``most``."""

    what: str
    of: str
    figure: str
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        require(self.of in SOURCES, f"an aim is of {' or '.join(SOURCES)}, not {self.of!r}")
        require((self.least is None) != (self.most is None), f"aim {self.what!r} has one of least and most")

    @property
    def limit(self) -> float:
        """What is to be reached."""
        return self.least if self.least is not None else self.most or 0.0

    def short_by(self, value: float) -> float:
        """The distance that is missing; 0 or less where the aim is reached."""
        return self.limit - value if self.least is not None else value - self.limit


@dataclass(frozen=True, slots=True)
class Aims:
    """All aims of a model, and what was ``tried`` for those that are not reached."""

    aims: tuple[Aim, ...]
    tried: str


def read_aims(folder: Path) -> Aims | None:
    """Those of the room ``folder``; None where it has none. Raises ModelError naming the file and what is wrong."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        table = checked(tomllib.loads(path.read_text(encoding="utf-8")), TOP, "aims")
        return Aims(tuple(Aim(**checked(entry, AIM, "aims")) for entry in table["aims"]), table["tried"])
    except (ModelError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: {error}", hint=f"mend {FILE}") from error


def reached(aim: Aim, metrics: Mapping[str, Any], folds: Mapping[str, Any] | None) -> float | None:
    """The figure of the aim; None where it was not measured for these weights."""
    found: Any = metrics if aim.of == "card" else folds
    for key in aim.figure.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return None if found is None else float(found)
