"""Conditions by which a route takes a unit, and their evaluation in words.

A route's condition is a tree, built once by `core.policy.routes.condition_parser` when the configuration is read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

RouteValue = str | float | tuple[str, ...] | tuple[float, ...]
Attributes = Mapping[str, RouteValue]  # by DICOM keyword
UNREADABLE_REASON = "its header cannot be matched with the routes"  # why a unit ends without a job; the kind of error follows
UNREADABLE_NOW = "its images cannot be read now"  # why a unit waits; what the system said follows

NO_ROUTE_REASON = "no route takes it"  # the conditions that failed follow


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """Whether a condition holds, and the lines that explain why."""

    holds: bool
    lines: tuple[str, ...]


@runtime_checkable
class RouteCondition(Protocol):
    """A condition on the attributes of a unit."""

    def evaluate(self, attributes: Attributes) -> RouteDecision:
        """Return whether the condition holds for ``attributes``, with the reason. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class OneOf:
    """Holds if the attribute has one of these values. Text is compared without regard to case; any value of several may match."""

    keyword: str
    wanted: tuple[str | float, ...]

    def evaluate(self, attributes: Attributes) -> RouteDecision:
        """Return whether the condition holds for ``attributes``, with the reason."""
        values = _values_of(attributes, self.keyword)
        holds = any(_is_same(wanted, value) for wanted in self.wanted for value in values)
        wanted = " or ".join(_format_values([item]) for item in self.wanted)
        return RouteDecision(holds, (f"{_mark(holds)} {self.keyword} is {_format_values(values)}, wanted {wanted}",))


@dataclass(frozen=True, slots=True)
class InRange:
    """Holds if every value of the attribute is a number from ``low`` to ``high``, both included."""

    keyword: str
    low: float | None
    high: float | None

    def evaluate(self, attributes: Attributes) -> RouteDecision:
        """Return whether the condition holds for ``attributes``, with the reason."""
        values = _values_of(attributes, self.keyword)
        try:
            numbers = [float(value) for value in values]
        except ValueError:
            numbers = []
        holds = bool(numbers) and all((self.low is None or n >= self.low) and (self.high is None or n <= self.high) for n in numbers)
        limits = " and ".join(f"{word} {limit:g}" for word, limit in (("at least", self.low), ("at most", self.high)) if limit is not None)
        return RouteDecision(holds, (f"{_mark(holds)} {self.keyword} is {_format_values(values)}, wanted {limits}",))


@dataclass(frozen=True, slots=True)
class MatchesPattern:
    """Holds if the regular expression is found in a value of the attribute."""

    keyword: str
    pattern: re.Pattern[str]

    def evaluate(self, attributes: Attributes) -> RouteDecision:
        """Return whether the condition holds for ``attributes``, with the reason."""
        values = _values_of(attributes, self.keyword)
        holds = any(self.pattern.search(_as_text(value)) for value in values)
        line = f"{_mark(holds)} {self.keyword} is {_format_values(values)}, wanted a match of /{self.pattern.pattern}/"
        return RouteDecision(holds, (line,))


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds if every part holds."""

    parts: tuple[RouteCondition, ...]

    def evaluate(self, attributes: Attributes) -> RouteDecision:
        """Return whether the condition holds for ``attributes``, with the reason."""
        decisions = [part.evaluate(attributes) for part in self.parts]
        return RouteDecision(all(part.holds for part in decisions), tuple(line for part in decisions for line in part.lines))


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds if at least one part holds."""

    parts: tuple[RouteCondition, ...]

    def evaluate(self, attributes: Attributes) -> RouteDecision:
        """Return whether the condition holds for ``attributes``, with the reason."""
        decisions = [part.evaluate(attributes) for part in self.parts]
        holds = any(part.holds for part in decisions)
        return RouteDecision(holds, (f"{_mark(holds)} any of:", *("  " + line for part in decisions for line in part.lines)))


@dataclass(frozen=True, slots=True)
class Not:
    """Holds if the part does not hold."""

    part: RouteCondition

    def evaluate(self, attributes: Attributes) -> RouteDecision:
        """Return whether the condition holds for ``attributes``, with the reason."""
        decision = self.part.evaluate(attributes)
        return RouteDecision(not decision.holds, (f"{_mark(not decision.holds)} not:", *("  " + line for line in decision.lines)))


def _values_of(attributes: Attributes, keyword: str) -> tuple[str | float, ...]:
    """Values of an attribute without empty ones; none where it is absent."""
    value = attributes.get(keyword, ())
    values = value if isinstance(value, tuple) else (value,)
    return tuple(item for item in values if item != "")


def _format_values(values: Sequence[str | float]) -> str:
    return "absent" if not values else "\\".join(_as_text(value) for value in values)


def _as_text(value: str | float) -> str:
    """A value as people write it: a whole number without a decimal point."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value.is_integer() else str(value)


def _is_same(wanted: str | float, value: str | float) -> bool:
    if isinstance(wanted, float) or isinstance(value, float):  # a number in quotes is the same number
        try:
            return float(value) == float(wanted)
        except ValueError:
            return False
    return value.strip().casefold() == wanted.strip().casefold()


def _mark(holds: bool) -> str:
    return "[yes]" if holds else "[no] "
