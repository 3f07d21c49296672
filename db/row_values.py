"""Between rows and records: headers as JSON, text that PostgreSQL can hold, dicts that go out as JSON."""

from dataclasses import MISSING, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from core.records import InstanceHeader

_HEADER_FIELDS = tuple((field.name, field.default) for field in fields(InstanceHeader))


def clean(value: str) -> str:
    """``value`` without what PostgreSQL's UTF-8 refuses: NUL is dropped, lone surrogates become U+FFFD."""
    if value.isascii():
        return value.replace("\0", "") if "\0" in value else value
    return value.replace("\0", "").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def header_values(header: InstanceHeader) -> dict[str, Any]:
    """The header as what goes into JSON: the fields that differ from their defaults."""
    values: dict[str, Any] = {}
    for name, default in _HEADER_FIELDS:
        value = getattr(header, name)
        if default is MISSING or value != default:
            values[name] = value
    return {name: _cleaned(value) for name, value in values.items()}


def header_of(values: dict[str, Any]) -> InstanceHeader:
    """The header back from its JSON object: lists become tuples."""
    arguments: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return InstanceHeader(**arguments)


def jsonable(row: Row[Any]) -> dict[str, Any]:
    """A row as a dict of JSON types; times in ISO 8601 with offset."""
    return {name: _plain(value) for name, value in row._mapping.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_cleaned(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None  # JSON has no such number; for geometry it is as good as absent
    return value
