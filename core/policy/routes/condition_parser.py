"""Reads the ``when`` table of a route into a condition of `core.policy.routes.routing`.

A wrong table is an error when the configuration is read, not when the first unit arrives.
"""

import re
from collections.abc import Mapping
from typing import Any

from core.policy.routes.body_part.condition import BODY_PARTS, ShowsBodyPart
from core.policy.routes.dicom_keywords import dicom_keywords
from core.policy.routes.routing import AllOf, AnyOf, InRange, MatchesPattern, Not, OneOf, RouteCondition

NODE_KEYWORDS = frozenset({"SourceAETitle"})  # known to the node, not an attribute of the instance


def parse_condition(table: Any) -> RouteCondition:
    """Return the condition of a table with DICOM keywords, ``body_part``, ``all`` / ``any`` (lists of tables) or ``not`` (a table) as keys.

    Raises
    ------
    ValueError
        The table is empty, a keyword is unknown, or a value is no condition. The message says what is expected.
    """
    if isinstance(table, RouteCondition):
        return table
    if not isinstance(table, Mapping) or not table:
        raise ValueError('a condition is a table such as { Modality = "CT" }; an empty one would take everything')
    return AllOf(tuple(_parse_entry(key, value) for key, value in table.items()))


def condition_table(condition: RouteCondition) -> dict[str, Any]:
    """Return the table that `parse_condition` reads into this condition, of values that JSON has."""
    assert isinstance(condition, AllOf), "parse_condition returns no other"
    return dict(_table_entry(part) for part in condition.parts)


def _table_entry(condition: RouteCondition) -> tuple[str, Any]:
    match condition:
        case AllOf(parts):
            return "all", [condition_table(part) for part in parts]
        case AnyOf(parts):
            return "any", [condition_table(part) for part in parts]
        case Not(part):
            return "not", condition_table(part)
        case OneOf(keyword, wanted):
            return keyword, list(wanted)
        case InRange(keyword, low, high):
            return keyword, {name: limit for name, limit in (("min", low), ("max", high)) if limit is not None}
        case MatchesPattern(keyword, pattern):
            return keyword, {"pattern": pattern.pattern}
        case ShowsBodyPart(part):
            return "body_part", part
    raise TypeError(f"{type(condition).__name__} has no form in the configuration")


def _parse_entry(key: str, value: Any) -> RouteCondition:
    if key in {"all", "any"}:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"'{key}' takes a list of condition tables")
        parts = tuple(parse_condition(item) for item in value)
        return AllOf(parts) if key == "all" else AnyOf(parts)
    if key == "not":
        return Not(parse_condition(value))
    if key == "body_part":
        if value not in BODY_PARTS:
            raise ValueError(f"'body_part' takes one of: {', '.join(BODY_PARTS)}; other parts by BodyPartExamined")
        return ShowsBodyPart(value)
    if key not in NODE_KEYWORDS and key not in dicom_keywords():
        raise ValueError(f"'{key}' is not a DICOM keyword (PS3.6), nor one of {', '.join(sorted(NODE_KEYWORDS))}, body_part, all, any, not")
    if isinstance(value, Mapping):
        return _parse_value_table(key, value)
    wanted = value if isinstance(value, list | tuple) else [value]
    if not wanted or not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in wanted):
        raise ValueError(f"'{key}' takes a text, a number, a list of them, or a table of min, max or pattern")
    return OneOf(key, tuple(item if isinstance(item, str) else float(item) for item in wanted))


def _parse_value_table(key: str, value: Mapping[str, Any]) -> RouteCondition:
    if set(value) == {"pattern"} and isinstance(value["pattern"], str):
        try:
            return MatchesPattern(key, re.compile(value["pattern"], re.IGNORECASE))
        except re.error as error:
            raise ValueError(f"the pattern of '{key}' is no regular expression: {error}") from error
    numbers = all(isinstance(limit, int | float) and not isinstance(limit, bool) for limit in value.values())
    if value and set(value) <= {"min", "max"} and numbers:
        low, high = value.get("min"), value.get("max")
        return InRange(key, None if low is None else float(low), None if high is None else float(high))
    raise ValueError(f"'{key}' takes {{ min = ..., max = ... }} or {{ pattern = \"...\" }}, not {dict(value)}")
