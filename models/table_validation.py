"""Validates a TOML table as a dataclass with pydantic, and words its errors: what was expected, what came, what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast, get_args

from pydantic import TypeAdapter, ValidationError

from core.errors import ModelError

Record = TypeVar("Record")

EXPECTED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "float_type": "a number",
    "int_type": "a whole number",
    "dict_type": "a table",
    "dataclass_type": "a table",
    "mapping_type": "a table",
    "tuple_type": "a list",
}
CAME = {str: "a text", bool: "a boolean", int: "a whole number", float: "a number", dict: "a table", list: "a list"}


def require(condition: bool, message: str, hint: str = "") -> None:
    """Raise ModelError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ModelError(message, hint=hint)


def validate_table(kind: type[Record], table: Any, where: str, hint: str) -> Record:
    """The dataclass ``kind`` from ``table``.

    Raises
    ------
    ModelError
        Unknown or missing keys, or a value of another type; ``where`` begins the path of the key in the message.
    """
    try:
        record: Record = _adapter(cast(Any, kind)).validate_python(table)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise ModelError("; ".join(_sentences(kind, found, where)), hint=hint) from error
    return record


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _sentences(kind: type[Any], errors: Sequence[Mapping[str, Any]], where: str) -> list[str]:
    """One sentence for each table that has faults; unknown keys first, because they explain most missing ones."""
    unknown = [error for error in errors if error["type"] == "unexpected_keyword_argument"]
    if unknown:
        parents = list(dict.fromkeys(error["loc"][:-1] for error in unknown))
        return [_unknown(kind, parent, [error["loc"][-1] for error in unknown if error["loc"][:-1] == parent], where) for parent in parents]
    missing = [error for error in errors if error["type"] == "missing"]
    if missing:
        parents = list(dict.fromkeys(error["loc"][:-1] for error in missing))
        keys = {parent: sorted(str(error["loc"][-1]) for error in missing if error["loc"][:-1] == parent) for parent in parents}
        return [f"{_path(where, parent)}: missing {', '.join(keys[parent])}" for parent in parents]
    return [f"{_path(where, error['loc'])}: {_wrong_type(error)}" for error in errors]


def _unknown(kind: type[Any], parent: tuple[int | str, ...], keys: Sequence[int | str], where: str) -> str:
    known = ", ".join(sorted(field.name for field in fields(_class_at(kind, parent))))
    return f"{_path(where, parent)}: unknown key {', '.join(sorted(map(str, keys)))}; known: {known}"


def _wrong_type(error: Mapping[str, Any]) -> str:
    expected = EXPECTED.get(error["type"])
    if expected is None:
        return str(error["msg"])
    return f"{expected} is expected, not {CAME.get(type(error['input']), type(error['input']).__name__)}"


def _path(where: str, location: Sequence[int | str]) -> str:
    """``card.labels[2].code``; a list's index is counted from 0, as in TOML tools."""
    return where + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in location)


def _class_at(kind: type[Any], location: Sequence[int | str]) -> type[Any]:
    """The dataclass that lies at ``location`` inside ``kind``."""
    for key in location:
        if isinstance(key, str):
            annotation = next(field.type for field in fields(kind) if field.name == key)
            nested = [part for part in (annotation, *get_args(annotation)) if isinstance(part, type) and is_dataclass(part)]
            kind = nested[0]
    return kind
