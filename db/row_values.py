"""Converts between rows and records: headers as JSON, text that PostgreSQL accepts, rows as JSON objects."""

from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Any

from sqlalchemy import Row

from core.records import InstanceHeader
from db.listings.reader import json_row

_HEADER_FIELDS = tuple((field.name, field.default) for field in fields(InstanceHeader))
_header_values = attrgetter(*(name for name, _ in _HEADER_FIELDS))
_AS_THEY_ARE = frozenset({int, bool, type(None)})


def clean_text(value: str) -> str:
    """Remove what PostgreSQL's UTF-8 refuses: NUL is dropped, lone surrogates become U+FFFD."""
    if value.isascii():
        return value.replace("\0", "") if "\0" in value else value
    return value.replace("\0", "").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def header_to_json(header: InstanceHeader) -> dict[str, Any]:
    """Return the fields of a header that differ from their defaults, as JSON types."""
    pairs = zip(_HEADER_FIELDS, _header_values(header), strict=True)
    return {name: _to_json(value) for (name, default), value in pairs if default is MISSING or value != default}


def header_from_json(values: dict[str, Any]) -> InstanceHeader:
    """Return the header that `header_to_json` wrote; lists become tuples."""
    arguments: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return InstanceHeader(**arguments)


def row_to_json(row: Row[Any]) -> dict[str, Any]:
    """Return a row as a dict of JSON types; times in ISO 8601 with offset."""
    return json_row(row._asdict())


def _to_json(value: Any) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None  # JSON has no such number, and a geometry with it is unusable
    return value


def escape_like(text: str) -> str:
    """Return ``text`` for a LIKE pattern, so that percent sign, underscore and backslash stand for themselves."""
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
