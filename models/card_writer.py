"""A card back to TOML: what ``train`` writes beside new weights."""

import json
from collections.abc import Mapping
from typing import Any

from models.card import TABLES, TEXTS, ModelCard


def render_card(card: ModelCard) -> str:
    """TOML text that ``parse_card`` reads back to an equal card."""
    lines = [f"{key} = {value_text(getattr(card, key))}" for key in TEXTS]
    lines.append(f"temperature = {card.temperature!r}")
    lines.append(f"limits = {value_text(card.limits)}")
    if (given := (card.tilt, card.derived)) != ("refuse", "note"):
        lines += table_lines("input", dict(zip(("tilt", "derived"), given, strict=True)))
    tiers = {"high": card.tiers.high, "review": card.tiers.review, "malignant_limit": card.tiers.malignant_limit}
    lines += table_lines("tiers", tiers) + table_lines("thresholds", card.thresholds)
    for label in card.labels:
        code = {"value": label.code.value, "scheme": label.code.scheme, "meaning": label.code.meaning}
        lines += ["", "[[labels]]", f"name = {value_text(label.name)}", f"code = {value_text(code)}"]
        lines += [f"malignant = {value_text(label.malignant)}", f"advice = {value_text(label.advice)}"]
        lines += [f"source = {value_text(label.source)}"] if label.source else []
    for source in card.data:
        lines += ["", "[[data]]", f"name = {value_text(source.name)}", f"licence = {value_text(source.licence)}"]
        lines.append(f"doi = {value_text(source.doi)}")
    if card.reference:
        lines += table_lines("reference", card.reference)
    for key in TABLES:
        lines += table_lines(key, getattr(card, key))
    return "\n".join(lines) + "\n"


def table_lines(path: str, table: Mapping[str, Any]) -> list[str]:
    """A table and the tables in it; plain values come first, as TOML wants. A table of tables alone needs no heading.

    A table of nothing but flat tables gets a line for each of them.
    """
    if table and all(isinstance(value, Mapping) and value and flat(value) for value in table.values()):
        return ["", f"[{path}]", *(f"{key_text(key)} = {value_text(value)}" for key, value in table.items())]
    plain = [f"{key_text(key)} = {value_text(value)}" for key, value in table.items() if not isinstance(value, Mapping)]
    lines = ["", f"[{path}]", *plain] if plain or not table else []
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += table_lines(f"{path}.{key_text(key)}", value)
    return lines


def flat(table: Mapping[str, Any]) -> bool:
    return not any(isinstance(value, Mapping) for value in table.values())


def key_text(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def value_text(value: Any) -> str:
    """JSON's strings, whole numbers, booleans and lists are TOML's; floats keep every digit."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key_text(key)} = {value_text(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        inner = ", ".join(value_text(item) for item in value)
        return f"[{inner}]" if len(inner) < 100 else "[\n    " + ",\n    ".join(value_text(item) for item in value) + ",\n]"
    if type(value) is float:
        return repr(value)  # nan and inf in TOML's letters
    if isinstance(value, bool | int | str):
        return json.dumps(value, ensure_ascii=False)
    raise TypeError(f"a card holds text, numbers, lists and tables, not {type(value).__name__}")
