"""The model card: what a model is, what it must not be used for, what was measured, and which weights belong to it.

``card.toml`` beside the weights is the source. pydantic validates it strictly: an unknown key, a missing key or a value of another type
is an error, because a misspelt threshold must not silently become a default.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Strict, with_config

from core.errors import ModelError
from core.records import Code, ModelIdentity
from core.states import ModelStatus
from models.table_validation import require, validate_table

Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Number = Annotated[float, Strict()]  # a whole number is accepted, a boolean is not

TASKS = ("classify", "detect")
UNITS = ("image", "series", "series or image")
TILTS = ("refuse", "resample")
DERIVED = ("note", "refuse")
GREY = ("refuse", "accept")
MODALITIES = ("", "OPT", "US", "SM")
HEX = frozenset("0123456789abcdef")
FIX = "correct card.toml"
# Result objects have these in elements of VR LO: one line, in which a backslash separates two values (PS3.5 6.2).
ONE_LINE = ("name", "version", "title", "manufacturer")
NOT_IN_ONE_LINE = re.compile(r"[\x00-\x1f\x7f\\]")
MAX_TITLE = 900  # characters: result objects have the title with the pipeline digest in an element of VR ST, which holds 1,024

no_other_keys = with_config(ConfigDict(extra="forbid"))


@no_other_keys
@dataclass(frozen=True, slots=True)
class Label:
    """One class that the model can answer.

    ``advice`` is a short sentence for the report, ``source`` the publication it is taken from. ``finding`` is False for a class that
    means that nothing was found (an imported classifier's "normal").
    """

    name: Text
    code: Code
    malignant: Flag
    advice: Text
    source: Text = ""
    finding: Flag = True


@no_other_keys
@dataclass(frozen=True, slots=True)
class Tiers:
    """Limits of the confidence tiers: high above ``high``, review from ``review``, uncertain below.

    No benign answer is high while the malignant probability exceeds ``malignant_limit``.
    """

    high: Number = 0.85
    review: Number = 0.60
    malignant_limit: Number = 0.15

    def __post_init__(self) -> None:
        if not 0.0 < self.review <= self.high < 1.0 or not 0.0 <= self.malignant_limit <= 1.0:
            raise ModelError(f"tiers must satisfy 0 < review <= high < 1 and 0 <= malignant_limit <= 1, not {self}")


@no_other_keys
@dataclass(frozen=True, slots=True)
class DataSource:
    """A data set that the weights were trained on; its licence binds the weights."""

    name: Text
    licence: Text
    doi: Text = ""


@no_other_keys
@dataclass(frozen=True, slots=True)
class InputRules:
    """The table ``[input]``: how images are handled that were altered before or need alteration.

    ``tilt``: series of a tilted gantry are refused or resampled; ``derived``: series that were reformatted or processed before they
    came are analysed with a note, or refused; ``grey``: single images without colour (radiographs, ultrasound) are refused, or accepted
    as three equal channels; ``modality``: what a model of series takes: "" CT series, "OPT" OCT volumes, "US" ultrasound loops, "SM" whole
    slides.
    """

    tilt: Text = "refuse"
    derived: Text = "note"
    grey: Text = "refuse"
    modality: Text = ""


@no_other_keys
@dataclass(frozen=True, slots=True)
class ModelCard:
    """Everything of ``card.toml``; ``tilt``, ``derived``, ``grey`` and ``modality`` come from its table ``[input]`` (see InputRules).

    ``metrics`` says what was measured, on what, and how. ``reference`` holds the expected counts by bin of inputs and answers
    (core/policy/drift.py).
    """

    name: Text
    version: Text
    title: Text
    status: Text
    task: Text
    unit: Text
    manufacturer: Text
    weights: Text
    weights_sha256: Text
    licence: Text
    intended_use: Text
    not_for: Text
    looked_for: Text
    labels: tuple[Label, ...]
    limits: tuple[Text, ...]
    data: tuple[DataSource, ...]
    preprocessing: Mapping[str, Any]
    network: Mapping[str, Any]
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    tiers: Tiers = field(default_factory=Tiers)
    thresholds: Mapping[str, Number] = field(default_factory=dict)
    temperature: Number = 1.0
    tilt: Text = "refuse"
    derived: Text = "note"
    grey: Text = "refuse"
    modality: Text = ""
    reference: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._require_texts()
        require(self.task in TASKS, f"task is one of {', '.join(TASKS)}, not {self.task!r}", FIX)
        require(self.unit in UNITS, f"unit is one of {', '.join(UNITS)}, not {self.unit!r}", FIX)
        known = [status.value for status in ModelStatus]
        require(self.status in known, f"status is one of {', '.join(known)}, not {self.status!r}", FIX)
        digest = self.weights_sha256
        require(len(digest) == 64 and set(digest) <= HEX, f"weights_sha256 is 64 lower-case hex digits, not {digest!r}", FIX)
        beside = Path(self.weights).name == self.weights and self.weights.endswith(".safetensors")
        require(beside, f"weights names a .safetensors file beside the card, not {self.weights!r}", FIX)
        require(self.tilt in TILTS, f"input.tilt is one of {', '.join(TILTS)}, not {self.tilt!r}", FIX)
        require(self.derived in DERIVED, f"input.derived is one of {', '.join(DERIVED)}, not {self.derived!r}", FIX)
        require(self.grey in GREY, f"input.grey is one of {', '.join(GREY)}, not {self.grey!r}", FIX)
        require(self.modality in MODALITIES, f"input.modality is one of OPT, US, SM or empty, not {self.modality!r}", FIX)
        require(not self.modality or self.unit == "series", f"a model of modality {self.modality} has unit series, not {self.unit!r}", FIX)
        names = [label.name for label in self.labels]
        require(bool(names) and len(set(names)) == len(names), "labels need at least one entry and no name twice", FIX)
        require(0.0 < self.temperature < math.inf, f"temperature is above 0, not {self.temperature}", FIX)
        for key, value in self.thresholds.items():  # nothing is above a limit of NaN, and nothing would be found
            require(math.isfinite(value), f"thresholds.{key} is a finite number, not {value}", FIX)

    def _require_texts(self) -> None:
        """Raise ModelError for a text that would make result objects invalid. Of an imported bundle, some come from its metadata."""
        for key in ONE_LINE:
            text = getattr(self, key)
            fix = f"{FIX}; of a bundle, state {key} in the file that describes it"
            plain = bool(text.strip()) and NOT_IN_ONE_LINE.search(text) is None
            require(plain, f"{key} is one line of text without backslash, not {text[:80]!r}", fix)
        fix = f"{FIX}; of a bundle, state title in the file that describes it"
        require(len(self.title) <= MAX_TITLE, f"title has at most {MAX_TITLE} characters, not {len(self.title)}", fix)
        require(bool(self.not_for.strip()), "not_for must say in one sentence what the model must not be used for", FIX)
        require(all(limit.strip() for limit in self.limits), f"limits are sentences, none of them empty: {list(self.limits)}", FIX)

    @property
    def units(self) -> tuple[str, ...]:
        """The kinds of unit that the model takes: "image", "series" or both."""
        return tuple(self.unit.split(" or "))

    def label(self, name: str) -> Label:
        """The label of that name. Raises ModelError where the card has none."""
        for label in self.labels:
            if label.name == name:
                return label
        raise ModelError(f"card {self.name} has no label {name!r}")


def identity(card: ModelCard, digest: str) -> ModelIdentity:
    """The model as a report names it. ``digest`` is the pipeline digest (``registry.pipeline_digest``)."""
    return ModelIdentity(card.name, card.version, digest, card.title, card.manufacturer, card.status, card.not_for)


def read_card(path: Path) -> ModelCard:
    """Parse and validate ``card.toml``. Raises ModelError that names the file and the fault."""
    try:
        return parse_card(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not UTF-8 text: {error}") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error.args[0]}", hint=error.hint) from error


@lru_cache(maxsize=64)  # by content: the conductor reads the cards again at every unit, and parsing TOML takes milliseconds
def parse_card(text: str) -> ModelCard:
    """The card in ``text`` (TOML). Raises ModelError."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ModelError(f"not TOML: {error}") from error
    return card_of(table)


def card_of(table: Mapping[str, Any]) -> ModelCard:
    """The card in a parsed TOML table. Raises ModelError."""
    values = dict(table)
    if "input" in values:
        rules = validate_table(InputRules, values.pop("input"), "card.input", FIX)
        values |= {"tilt": rules.tilt, "derived": rules.derived, "grey": rules.grey, "modality": rules.modality}
    elif misplaced := sorted({"tilt", "derived", "grey", "modality"} & set(values)):
        raise ModelError(f"card: unknown key {', '.join(misplaced)}; it belongs into the table [input]", hint=FIX)
    return validate_table(ModelCard, values, "card", FIX)
