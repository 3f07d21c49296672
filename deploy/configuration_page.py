"""Writes the generated parts of docs/configuration.md: the sample file, and one table for each section of the settings.

``make docs`` runs it. The text of a table is the ``description`` of the fields in `core.settings`; everything outside of the markers is
written by hand.
"""

import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.settings.settings import Settings

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "configuration.md"
SAMPLE = ROOT / "deploy" / "conf" / "node.toml"


def page(text: str) -> str:
    """Return the page ``text`` with its generated parts written anew.

    Raises
    ------
    ValueError
        A marker of a generated part is missing.
    """
    for name, content in (("sample", f"```toml\n{SAMPLE.read_text()}```"), ("settings", "\n\n".join(_sections()))):
        begin, end = f"<!-- generated: {name} -->", "<!-- end of generated part -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"docs/configuration.md has no part between {begin} and {end}")
        before, after = pattern.split(text, maxsplit=1)
        text = before + "\n\n".join([begin, content, end]) + after
    return text


def _sections() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        in_list = get_origin(field.annotation) is tuple
        yield from _section(name, "[[{}]]" if in_list else "[{}]", field)


def _section(name: str, heading: str, field: FieldInfo) -> Iterator[str]:
    """The section of a table of the configuration, then those of the tables inside it."""
    model = table_of(field)
    assert model is not None, f"{name} is a table"
    rows = ["| key | default | meaning |", "|---|---|---|"]
    rows += [f"| `{key}` | {_format_default(inner)} | {_escape(inner)} |" for key, inner in model.model_fields.items()]
    yield "\n".join([f"## `{heading.format(name)}`", "", field.description or "", "", *rows])
    for key, inner in model.model_fields.items():
        if table_of(inner) is not None:
            yield from _section(f"{name}.{key}", "[{}]", inner)


def table_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a table, an optional table or a list of tables; None for a value."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _format_default(field: FieldInfo) -> str:
    """The default as TOML."""
    if field.is_required():
        return "required"
    if isinstance(field.default, BaseModel):
        return "see below"
    return "none" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, Enum):
        return _toml(value.value)
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def _escape(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"{PAGE.relative_to(ROOT)} is written", file=sys.stderr)
