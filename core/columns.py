"""The values of one column of a table as text: figures get the same number of decimals, so that they can be compared at a glance."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

SIGNIFICANT = 4  # digits of a float
MOST_DIGITS = 5  # that a common number of decimals may give a float
MOST_IN_ONE_CELL = 3  # numbers of a list that still is a figure, as an interval is
_PLAIN = re.compile(r"-?\d+(\.\d+)?")


def show_column(values: Sequence[Any]) -> list[str]:
    """Return each value as text, the floats with the same number of decimals: as many as the one needs that needs most.

    Where that would give a float more than five digits, as beside others of another size, each has the decimals that it needs. Whole
    numbers are counts and get none. None is "".
    """
    decimals = _common_decimals([number for value in values for number in _floats(value)])
    return [show_value(value, decimals) for value in values]


def show_value(value: Any, decimals: int | None = None) -> str:
    """Return a value as text; floats with ``decimals``, or with four significant digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{SIGNIFICANT}g}" if decimals is None else f"{value:.{decimals}f}"
    if isinstance(value, list | tuple):
        return ", ".join(show_value(item, decimals) for item in value)
    return str(value)


def is_figure(value: Any) -> bool:
    """Whether a value is a number, or a list of a few, such as an interval."""
    if isinstance(value, list | tuple):
        return 0 < len(value) <= MOST_IN_ONE_CELL and all(_is_number(item) for item in value)
    return _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _floats(item)


def _common_decimals(numbers: Sequence[float]) -> int | None:
    texts = [f"{number:.{SIGNIFICANT}g}" for number in numbers]
    if not texts or not all(_PLAIN.fullmatch(text) for text in texts):
        return None
    parts = [text.lstrip("-").partition(".") for text in texts]
    decimals, digits = max(len(fraction) for _, _, fraction in parts), max(len(whole.lstrip("0")) for whole, _, _ in parts)
    return decimals if digits + decimals <= MOST_DIGITS else None
