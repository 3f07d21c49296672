"""Writes a card as TOML: beside new weights after a training, and for an imported bundle."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import tomli_w

from models.card import InputRules, ModelCard

NUMBERS = re.compile(r"\[\n((?: +-?[0-9][0-9.e+-]*,\n)+) *\]")  # an array of numbers, one on each line as tomli_w writes it
# A table such as [metrics.by_sex.F] or [labels.code] with nothing but its own keys. Group 1: its parent, 2: its last name, 3: its keys.
LEAF = re.compile(r'\[((?:[^"\n\]]+\.)?[^".\n\]]+)\.("[^"\n]*"|[A-Za-z0-9_-]+)\]\n((?:[^\[\n=]+ = [^\n]+\n?)*)')
LONGEST_LINE = 400  # of a table on one line
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
    return _leaves_inline(NUMBERS.sub(_on_one_line, tomli_w.dumps(_plain(kept))))


def _leaves_inline(text: str) -> str:
    """The same TOML with small tables on one line of their parent, so that like tables are read as rows.

    These are tables of the third level or below, and those of an element of an array, such as the code of a label.
    """
    blocks = text.split("\n\n")
    parents = {block.split("\n", 1)[0]: number for number, block in enumerate(blocks) if not block.startswith("[[")}
    kept: list[str | None] = list(blocks)
    for number, block in enumerate(blocks):
        leaf = LEAF.fullmatch(block)
        if leaf is None or any(other.startswith(f"[{leaf[1]}.{leaf[2]}.") for other in blocks):
            continue
        line = f"{leaf[2]} = {{ {', '.join(leaf[3].strip().splitlines())} }}"
        if blocks[number - 1].startswith(f"[[{leaf[1]}]]\n"):
            place = number - 1
        elif "." in leaf[1]:
            place = parents.setdefault(f"[{leaf[1]}]", number)
        else:
            continue
        if len(line) > LONGEST_LINE:
            continue
        kept[place] = f"[{leaf[1]}]\n{line}" if place == number else f"{(kept[place] or '').rstrip()}\n{line}"
        if place != number:
            kept[number] = None
    return "\n\n".join(block for block in kept if block is not None).rstrip() + "\n"


def _on_one_line(array: re.Match[str]) -> str:
    return f"[{', '.join(number.strip() for number in array[1].split(',') if number.strip())}]"


def _plain(value: Any) -> Any:
    """Tuples as lists, mappings as dicts; tomli_w knows no other kinds."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
