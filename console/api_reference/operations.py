"""Reads the operations of the API out of its OpenAPI document, by the scope that a token needs for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from console.auth.scopes import MEANING, scope_of

WITHOUT_TOKEN = "no token"
"""Name of the group of operations that need none."""


@dataclass(frozen=True, slots=True)
class ApiField:
    """A parameter of an operation, or a field of its body. ``place``: path, query, header or body; ``kind``: its type, or its words."""

    name: str
    place: str
    kind: str
    required: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """One method on one path. ``body``: the media type of the body, "" where there is none or it has fields."""

    method: str
    path: str
    summary: str
    text: str
    fields: tuple[ApiField, ...]
    body: str


def operations_by_scope(document: Mapping[str, Any]) -> dict[str, list[ApiOperation]]:
    """Return the operations of an OpenAPI document for each scope, then those without one; groups without operations are left out."""
    found: dict[str, list[ApiOperation]] = {name: [] for name in (*MEANING, WITHOUT_TOKEN)}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            found[scope_of(path) or WITHOUT_TOKEN].append(_read_operation(document, method, path, operation))
    return {name: of_scope for name, of_scope in found.items() if of_scope}


def _read_operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> ApiOperation:
    fields = [
        ApiField(one["name"], one["in"], _kind(document, one.get("schema", {})), one.get("required", False), one.get("description", ""))
        for one in operation.get("parameters", ())
    ]
    body = ""
    for media_type, described in operation.get("requestBody", {}).get("content", {}).items():
        of_body = list(_body_fields(document, described.get("schema", {})))
        fields += of_body
        body = "" if of_body else media_type
    text = operation.get("description", "").partition("\n\nScope of the token")[0]
    return ApiOperation(method.upper(), path, operation.get("summary", ""), text, tuple(fields), body)


def _body_fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[ApiField]:
    found = _resolve(document, schema)
    for name, described in found.get("properties", {}).items():
        yield ApiField(name, "body", _kind(document, described), name in found.get("required", ()), described.get("description", ""))


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words: that of the schema, its format, or the words that it may be."""
    found = _resolve(document, schema)
    if "anyOf" in found:
        kinds = dict.fromkeys(_kind(document, one) for one in found["anyOf"] if one.get("type") != "null")
        return " or ".join(kinds)
    if "enum" in found:
        return ", ".join(map(str, found["enum"]))
    if found.get("type") == "array":
        return f"list of {_kind(document, found.get('items', {}))}"
    return str(found.get("format") or found.get("const") or found.get("type", ""))


def _resolve(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema
