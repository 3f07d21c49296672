"""Writes a card as TOML: beside new weights after a training, and for an imported bundle."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import tomli_w

from models.card import InputRules, ModelCard

NUMBERS = re.compile(r"\[\n((?: +-?[0-9][0-9.e+-]*,\n)+) *\]")  # an array of numbers, one on each line as tomli_w writes it
EMPTY_ALLOWED = ("labels", "limits", "data", "preprocessing", "network", "training", "metrics")  # required keys stay where they are empty


def render_card(card: ModelCard) -> str:
    """TOML text that ``parse_card`` reads back to an equal card. Floats keep every digit."""
    table: dict[str, Any] = asdict(card)
    rules = InputRules(table.pop("tilt"), table.pop("derived"), table.pop("grey"), table.pop("modality"))
    if rules != InputRules():
        table["input"] = asdict(rules)
    for entry in (*table["labels"], *table["data"]):
        for key in ("source", "doi"):
            if entry.get(key) == "":
                del entry[key]
    for label in table["labels"]:
        if label["finding"]:
            del label["finding"]
    kept = {key: value for key, value in table.items() if key in EMPTY_ALLOWED or value not in ({}, ())}
    return NUMBERS.sub(_on_one_line, tomli_w.dumps(_plain(kept)))


def _on_one_line(array: re.Match[str]) -> str:
    return f"[{', '.join(number.strip() for number in array[1].split(',') if number.strip())}]"


def _plain(value: Any) -> Any:
    """Tuples as lists, mappings as dicts; tomli_w knows no other kinds."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
