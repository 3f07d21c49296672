"""Which route takes a unit, and why, in words. Pure.

Conditions are typed once, when the configuration is read; a route is a tree of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydicom.datadict import tag_for_keyword

RouteValue = str | float | tuple[str, ...] | tuple[float, ...]
Attributes = Mapping[str, RouteValue]
NODE_KEYWORDS = frozenset({"SourceAETitle"})  # what the node knows beside the header


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """Whether a condition holds, and the lines that say why."""

    holds: bool
    lines: tuple[str, ...]


@runtime_checkable
class Condition(Protocol):
    def judge(self, attributes: Attributes) -> RouteDecision: ...


def _values(attributes: Attributes, keyword: str) -> tuple[str | float, ...]:
    value = attributes.get(keyword, ())
    found = value if isinstance(value, tuple) else (value,)
    return tuple(item for item in found if item != "")


def _shown(values: Sequence[str | float]) -> str:
    return "absent" if not values else "\\".join(f"{value:g}" if isinstance(value, float) else value for value in values)


def _same(wanted: str | float, value: str | float) -> bool:
    if isinstance(wanted, float):
        try:
            return float(value) == wanted
        except ValueError:
            return False
    return str(value).strip().casefold() == wanted.strip().casefold()


@dataclass(frozen=True, slots=True)
class OneOf:
    """The attribute has one of these values (text without regard to case; any value of a multi-valued one)."""

    keyword: str
    wanted: tuple[str | float, ...]

    def judge(self, attributes: Attributes) -> RouteDecision:
        values = _values(attributes, self.keyword)
        holds = any(_same(wanted, value) for wanted in self.wanted for value in values)
        wanted = " or ".join(_shown([item]) for item in self.wanted)
        return RouteDecision(holds, (f"{_mark(holds)} {self.keyword} is {_shown(values)}, wanted {wanted}",))


@dataclass(frozen=True, slots=True)
class InRange:
    """Every value of the attribute is a number between these limits, limits included."""

    keyword: str
    low: float | None
    high: float | None

    def judge(self, attributes: Attributes) -> RouteDecision:
        values = _values(attributes, self.keyword)
        try:
            numbers = [float(value) for value in values]
        except ValueError:
            numbers = []
        holds = bool(numbers) and all((self.low is None or n >= self.low) and (self.high is None or n <= self.high) for n in numbers)
        limits = " and ".join(f"{word} {limit:g}" for word, limit in (("at least", self.low), ("at most", self.high)) if limit is not None)
        return RouteDecision(holds, (f"{_mark(holds)} {self.keyword} is {_shown(values)}, wanted {limits}",))


@dataclass(frozen=True, slots=True)
class Matches:
    """A value of the attribute holds this regular expression (searched, without regard to case)."""

    keyword: str
    pattern: re.Pattern[str]

    def judge(self, attributes: Attributes) -> RouteDecision:
        values = _values(attributes, self.keyword)
        holds = any(self.pattern.search(str(value)) for value in values)
        return RouteDecision(holds, (f"{_mark(holds)} {self.keyword} is {_shown(values)}, wanted a match of /{self.pattern.pattern}/",))


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Condition, ...]

    def judge(self, attributes: Attributes) -> RouteDecision:
        verdicts = [part.judge(attributes) for part in self.parts]
        return RouteDecision(all(v.holds for v in verdicts), tuple(line for v in verdicts for line in v.lines))


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Condition, ...]

    def judge(self, attributes: Attributes) -> RouteDecision:
        verdicts = [part.judge(attributes) for part in self.parts]
        holds = any(v.holds for v in verdicts)
        return RouteDecision(holds, (f"{_mark(holds)} any of:", *("  " + line for v in verdicts for line in v.lines)))


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition

    def judge(self, attributes: Attributes) -> RouteDecision:
        verdict = self.part.judge(attributes)
        return RouteDecision(not verdict.holds, (f"{_mark(not verdict.holds)} not:", *("  " + line for line in verdict.lines)))


def _mark(holds: bool) -> str:
    return "[yes]" if holds else "[no] "


def parse_condition(table: Any) -> Condition:
    """A ``when`` table to a condition: keys are DICOM keywords, or ``all`` / ``any`` (lists of tables) / ``not`` (a table).

    Raises
    ------
    ValueError
        An empty table, an unknown keyword, or a value that is no condition; says what was expected.
    """
    if isinstance(table, Condition):
        return table
    if not isinstance(table, Mapping) or not table:
        raise ValueError('a condition is a table such as { Modality = "CT" }; an empty one would take everything')
    return All(tuple(_parse_entry(key, value) for key, value in table.items()))


def _parse_entry(key: str, value: Any) -> Condition:
    if key in {"all", "any"}:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"'{key}' takes a list of condition tables")
        parts = tuple(parse_condition(item) for item in value)
        return All(parts) if key == "all" else AnyOf(parts)
    if key == "not":
        return Not(parse_condition(value))
    if key not in NODE_KEYWORDS and tag_for_keyword(key) is None:
        raise ValueError(f"'{key}' is not a DICOM keyword (PS3.6), nor one of {', '.join(sorted(NODE_KEYWORDS))}, all, any, not")
    if isinstance(value, Mapping):
        return _parse_table(key, value)
    wanted = value if isinstance(value, list | tuple) else [value]
    if not wanted or not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in wanted):
        raise ValueError(f"'{key}' takes a text, a number, a list of them, or a table of min, max or pattern")
    return OneOf(key, tuple(item if isinstance(item, str) else float(item) for item in wanted))


def _parse_table(key: str, value: Mapping[str, Any]) -> Condition:
    if set(value) == {"pattern"} and isinstance(value["pattern"], str):
        try:
            return Matches(key, re.compile(value["pattern"], re.IGNORECASE))
        except re.error as error:
            raise ValueError(f"the pattern of '{key}' is no regular expression: {error}") from error
    numbers = all(isinstance(limit, int | float) and not isinstance(limit, bool) for limit in value.values())
    if value and set(value) <= {"min", "max"} and numbers:
        low, high = value.get("min"), value.get("max")
        return InRange(key, None if low is None else float(low), None if high is None else float(high))
    raise ValueError(f"'{key}' takes {{ min = ..., max = ... }} or {{ pattern = \"...\" }}, not {dict(value)}")
