"""A model's card: what it is, what it is not for, what was measured, and which weights belong to it.

``card.toml`` beside the weights is the source. It is read strictly: an unknown key, a missing one or a value of
another type is an error, because a misspelt threshold must not silently become a default.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import ModelError
from core.records import Code, ModelIdentity
from core.states import ModelStatus

TASKS = ("classify", "detect")
UNITS = ("image", "series", "series or image")
TILTS = ("refuse", "resample")
DERIVED = ("note", "refuse")
HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Label:
    """One thing the model may say. ``advice`` is one short sentence for the report, ``source`` where it is taken from."""

    name: str
    code: Code
    malignant: bool
    advice: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Tiers:
    """Limits of the confidence tiers: above ``high``, from ``review``, below it uncertain.

    No benign answer is high while the malignant probability exceeds ``malignant_limit``.
    """

    high: float = 0.85
    review: float = 0.60
    malignant_limit: float = 0.15

    def __post_init__(self) -> None:
        if not 0.0 < self.review <= self.high < 1.0 or not 0.0 <= self.malignant_limit <= 1.0:
            raise ModelError(f"tiers must satisfy 0 < review <= high < 1 and 0 <= malignant_limit <= 1, not {self}")


@dataclass(frozen=True, slots=True)
class DataSource:
    """A set of data that the weights were trained on; its licence binds the weights."""

    name: str
    licence: str
    doi: str = ""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Everything of ``card.toml``. ``metrics`` says what was measured, on what, and how."""

    name: str
    version: str
    title: str
    status: str
    task: str
    unit: str
    manufacturer: str
    weights: str
    weights_sha256: str
    licence: str
    intended_use: str
    not_for: str
    looked_for: str
    labels: tuple[Label, ...]
    limits: tuple[str, ...]
    data: tuple[DataSource, ...]
    preprocessing: Mapping[str, Any]
    network: Mapping[str, Any]
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    tiers: Tiers = field(default_factory=Tiers)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    tilt: str = "refuse"  # what becomes of a series of a tilted gantry
    derived: str = "note"  # what becomes of one that was reformatted or processed before it came: analysed with a note, or refused
    reference: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # counts by bin (core/policy/drift.py) of what is expected

    def __post_init__(self) -> None:
        require(self.task in TASKS, f"task is one of {', '.join(TASKS)}, not {self.task!r}")
        require(self.unit in UNITS, f"unit is one of {', '.join(UNITS)}, not {self.unit!r}")
        known = [status.value for status in ModelStatus]
        require(self.status in known, f"status is one of {', '.join(known)}, not {self.status!r}")
        digest = self.weights_sha256
        require(len(digest) == 64 and set(digest) <= HEX, f"weights_sha256 is 64 lower-case hex digits, not {digest!r}")
        plain = Path(self.weights).name == self.weights and self.weights.endswith(".safetensors")
        require(plain, f"weights names a .safetensors file beside the card, not {self.weights!r}")
        require(self.tilt in TILTS, f"input.tilt is one of {', '.join(TILTS)}, not {self.tilt!r}")
        require(self.derived in DERIVED, f"input.derived is one of {', '.join(DERIVED)}, not {self.derived!r}")
        names = [label.name for label in self.labels]
        require(bool(names) and len(set(names)) == len(names), "labels need at least one entry and no name twice")
        require(self.temperature > 0.0, f"temperature is above 0, not {self.temperature}")
        require(bool(self.not_for), "not_for must say in one sentence what the model is not for")

    @property
    def units(self) -> tuple[str, ...]:
        """What it takes, one by one: "image", "series" or both."""
        return tuple(self.unit.split(" or "))

    def label(self, name: str) -> Label:
        """The label of that name. Raises ModelError where the card has none."""
        for label in self.labels:
            if label.name == name:
                return label
        raise ModelError(f"card {self.name} has no label {name!r}")


def identity(card: ModelCard, digest: str) -> ModelIdentity:
    """Who speaks in a report. ``digest`` is the pipeline digest (``registry.pipeline_digest``)."""
    return ModelIdentity(card.name, card.version, digest, card.title, card.manufacturer, card.status, card.not_for)


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ModelError(message, hint="mend card.toml")


def read_card(path: Path) -> ModelCard:
    """Parse and validate ``card.toml``. Raises ModelError naming the file and what is wrong."""
    try:
        return parse_card(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


@lru_cache(maxsize=64)  # of a text: the conductor asks for the cards again at every unit, and TOML is slow to read
def parse_card(text: str) -> ModelCard:
    """The card that ``text`` (TOML) describes."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"not TOML: {error}") from error
    values = dict(checked(table, TOP, "card"))
    labels = []
    for entry in values["labels"]:
        label = checked(entry, LABEL, "labels")
        code = checked(label["code"], CODE, "labels.code")
        labels.append(Label(label["name"], Code(**code), label["malignant"], label["advice"], label.get("source", "")))
    values["labels"] = tuple(labels)
    values["limits"] = tuple(one(value, str, "limits") for value in values["limits"])
    values["data"] = tuple(DataSource(**checked(entry, DATA, "data")) for entry in values["data"])
    if "input" in values:
        values |= checked(values.pop("input"), INPUT, "input")
    if "tiers" in values:
        values["tiers"] = Tiers(**checked(values["tiers"], TIERS, "tiers"))
    if "thresholds" in values:
        values["thresholds"] = {key: one(value, float, f"thresholds.{key}") for key, value in values["thresholds"].items()}
    if "reference" in values:
        values["reference"] = {
            key: tuple(one(count, float, f"reference.{key}") for count in one(value, list, f"reference.{key}"))
            for key, value in values["reference"].items()
        }
    return ModelCard(**values)


# key -> (type, required)
Schema = Mapping[str, tuple[type, bool]]
TEXTS = (
    *("name", "version", "title", "status", "task", "unit", "manufacturer", "weights", "weights_sha256", "licence"),
    *("intended_use", "not_for", "looked_for"),
)
TABLES = ("preprocessing", "network", "training", "metrics")
TOP: Schema = {
    **dict.fromkeys(TEXTS, (str, True)),
    **dict.fromkeys(TABLES, (dict, True)),
    **dict.fromkeys(("labels", "limits", "data"), (list, True)),
    **dict.fromkeys(("tiers", "thresholds", "reference", "input"), (dict, False)),
    "temperature": (float, False),
}
LABEL: Schema = {"name": (str, True), "code": (dict, True), "malignant": (bool, True), "advice": (str, True), "source": (str, False)}
CODE: Schema = {"value": (str, True), "scheme": (str, True), "meaning": (str, True)}
INPUT: Schema = {"tilt": (str, False), "derived": (str, False)}
TIERS: Schema = {"high": (float, False), "review": (float, False), "malignant_limit": (float, False)}
DATA: Schema = {"name": (str, True), "licence": (str, True), "doi": (str, False)}


def checked(table: Any, schema: Schema, where: str) -> dict[str, Any]:
    """``table`` with exactly the schema's keys and types; whole numbers are taken where a float is asked for."""
    require(isinstance(table, dict), f"{where}: a table is expected, not {type(table).__name__}")
    unknown = sorted(set(table) - set(schema))
    require(not unknown, f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(sorted(schema))}")
    missing = sorted(key for key, (_, needed) in schema.items() if needed and key not in table)
    require(not missing, f"{where}: missing {', '.join(missing)}")
    return {key: one(value, schema[key][0], f"{where}.{key}") for key, value in table.items()}


def one(value: Any, kind: type, where: str) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    require(type(value) is kind, f"{where}: {kind.__name__} is expected, not {type(value).__name__}")
    return value
