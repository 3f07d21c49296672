"""Says what is wrong with a configuration: where, what was expected, and what came.

pydantic speaks of tuples, models and fields; who edits the file knows lists, tables and keys.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from core.settings.settings import Settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LONGEST_VALUE = 60
# Kind of an error of pydantic -> what was expected. The names in braces are those of the error's context.
_EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("string_type", "path_type"), "text in quotes"),
    **dict.fromkeys(("literal_error", "enum"), "{expected}"),
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "too_short": "at least {min_length} values",
    "too_long": "at most {max_length} values",
}
# Words of tomllib's message -> what to do about it.
_SYNTAX_HINTS = {
    "Invalid value": "text stands in straight double quotes; true and false are written in lower case",
    "Cannot overwrite": "a key stands in a table once: remove one of the two",
    "Cannot declare": "a table stands in the file once: write its keys below one [heading]",
    "hex value": r"in double quotes a backslash is written as \\",
    "Unescaped": r"in double quotes a backslash is written as \\",
    "Expected '='": 'a line is key = "value"',
}


def format_syntax_error(error: tomllib.TOMLDecodeError, text: str) -> tuple[str, str]:
    """Return the line, its key and what is wrong with it, and what to do. The value is left out: it may be a secret."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", str(error))
    reason, number = (found[1], int(found[2])) if found else (str(error), 0)
    key = re.match(r"\s*([\w.\-]+)\s*=", text.splitlines()[number - 1]) if 0 < number <= len(text.splitlines()) else None
    place = (f"line {number}, {key[1]}: " if key else f"line {number}: ") if number else ""
    hint = next((hint for words, hint in _SYNTAX_HINTS.items() if words in reason), "an example: docs/configuration.md")
    reason = re.sub(r"\('(.*)',?\)", lambda table: "[" + table[1].replace("', '", ".") + "]", reason)  # its names as a tuple of Python
    return f"{place}{reason[:1].lower()}{reason[1:]}", hint


def format_validation_error(error: ValidationError, where: str, variables: Mapping[tuple[str, str], str], secrets: Collection[str]) -> str:
    """Return pydantic's errors as one line, with the places as they are written in the file, or in the environment if set there.

    Parameters
    ----------
    variables
        (section, key) of the settings that the environment sets, with the names of the variables.
    secrets
        ``section.key`` of the settings whose values are not shown.
    """
    parts = []
    problems = error.errors()
    places = [problem["loc"] for problem in problems]
    for problem in problems:
        loc = problem["loc"]
        if any(len(other) > len(loc) and other[: len(loc)] == loc for other in places):
            continue  # a list with a wrong value is also reported as too short
        steps = [str(step) for step in loc]
        variable = variables.get((steps[0], steps[1])) if len(steps) > 1 else None
        written = _written_place(loc)
        place = f"the environment's {variable}" if variable else f"{where}: {written}" if written else where
        parts.append(f"{place}: {_explain(problem, show=not any('.'.join(steps).startswith(key) for key in secrets))}")
    return "; ".join(parts)


def _explain(problem: "ErrorDetails", *, show: bool) -> str:
    """Return one error in words. ``show``: the value may be shown."""
    kind, loc, given = problem["type"], problem["loc"], problem["input"]
    if kind == "extra_forbidden":
        return _unknown_key(loc)
    if kind == "missing":
        return "missing: this key has no default"
    if kind == "tuple_type":
        return f"write [[{loc[-1]}]], once for each" if _is_table(loc) else 'expected a list such as ["one", "two"]' + _came(given, show)
    if kind in ("model_type", "model_attributes_type"):
        return "expected a table, written once, in single brackets" if isinstance(given, list) else "expected a table" + _came(given, show)
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind].format(**problem.get('ctx', {}))}" + _came(given, show)
    return problem["msg"].removeprefix("Value error, ")


def _came(given: Any, show: bool) -> str:
    """Return the value that came, as TOML writes it, where it is short and may be shown."""
    if not show or not isinstance(given, str | int | float):
        return ""
    text = str(given).lower() if isinstance(given, bool) else f'"{given}"' if isinstance(given, str) else str(given)
    return f", got {text}" if len(text) <= LONGEST_VALUE else ""


def _unknown_key(place: tuple[int | str, ...]) -> str:
    """Return the message for a key that no setting has, with the most similar one of the same table."""
    known = _keys_of(place[:-1])
    similar = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"unknown key; did you mean {similar[0]}?" if similar else "unknown key"


def _keys_of(place: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the table at a place of the configuration; numbers are positions in lists of tables."""
    model: type[BaseModel] | None = Settings
    for step in place:
        if isinstance(step, str) and model is not None:
            field = model.model_fields.get(step)
            model = _model_in(field.annotation) if field is not None else None
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a table in a type such as ``Section``, ``Section | None`` or ``tuple[Section, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _written_place(loc: tuple[int | str, ...]) -> str:
    """Return a place as a person finds it in the file: ``node.port``, ``[[routes]] number 1: when``, ``objects, value 2``, or ""."""
    text = ""
    for index, step in enumerate(loc):
        if not isinstance(step, int):
            text += f"{'' if not text or text.endswith(': ') else '.'}{step}"
        elif index + 1 < len(loc) or _is_table(loc[:index]):
            text = f"[[{text}]] number {step + 1}: "
        else:
            text += f", value {step + 1}"
    return text.removesuffix(": ")


def _is_table(place: tuple[int | str, ...]) -> bool:
    """Whether a list at this place of the configuration holds tables, and not values."""
    return bool(_keys_of(place))
