"""Tables of Markdown from the nested tables of a card. No torch, no I/O."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.columns import is_figure, show_column, show_value

MAX_COLUMNS = 12
TOP_DEPTH = 3  # of headings: the title and the section have the two above
CURVE = "froc"  # a list of points, shown as a plot
_NUMBER = r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?"
_FIGURE = re.compile(rf"(at least |at most )?{_NUMBER}((, | to ){_NUMBER}){{0,2}}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with the columns ``head``; those of figures are aligned at their right side."""
    found = [tuple(row) for row in rows]
    marks = ["---:" if _holds_figures([row[place] for row in found]) else "---" for place in range(len(head))]
    lines = [head, marks, *found]
    return "\n".join("| " + " | ".join(escape_cell(cell) for cell in line) + " |" for line in lines)


def _holds_figures(cells: Sequence[str]) -> bool:
    """Whether every cell that is not empty is a figure, a limit, an interval, yes or no, and at least one has a digit."""
    filled = [cell for cell in cells if cell not in ("", "yes", "no")]
    return bool(filled) and all(_FIGURE.fullmatch(cell) for cell in filled)


def bullets(items: Iterable[str]) -> str:
    """A list with one item per line."""
    return "\n".join(f"- {item}" for item in items)


def nested_tables(values: Mapping[str, Any], depth: int = TOP_DEPTH) -> str:
    """Figures as one table, texts as a list, tables of tables with the same keys as one table each; ``depth`` of the headings.

    Neighbouring tables with the same keys become one table, and a flat table inside of another table one row. Whole curves are left out,
    because the plots show them.
    """
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping) and key != CURVE}
    parts = [] if "measured" not in plain else [f"How it was measured: {plain.pop('measured')}."]
    figures = {key: value for key, value in plain.items() if is_figure(value)}
    if figures:
        parts.append(table(("", ""), list(zip(map(words, figures), show_column(list(figures.values())), strict=True))))
    if texts := {key: value for key, value in plain.items() if key not in figures}:
        parts.append(bullets(f"{words(key)}: {show_value(value)}" for key, value in texts.items()))
    for group in neighbours_alike({key: value for key, value in values.items() if isinstance(value, Mapping)}):
        value, *others = group.values()
        in_one_row = rows_table(group) if depth > TOP_DEPTH else ""
        alone = rows_table(value) or in_one_row or nested_tables(value, min(depth + 1, 6))
        parts += [f"{'#' * depth} {', '.join(map(words, group))}", rows_table(group) or columns_table(group) if others else alone]
    return "\n\n".join(parts)


def neighbours_alike(values: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Mapping[str, Any]]]:
    """Groups of consecutive entries that are flat and have the same keys; every other entry is a group by itself."""
    found: list[dict[str, Mapping[str, Any]]] = []
    for key, value in values.items():
        flat = not any(isinstance(item, Mapping) for item in value.values())
        before = next(reversed(found[-1].values())) if found else {}
        if flat and set(value) == set(before):
            found[-1][key] = value
        else:
            found.append({key: value})
    return found


def columns_table(values: Mapping[str, Mapping[str, Any]]) -> str:
    """One column for each of the flat tables, which have the same keys."""
    first = next(iter(values.values()))
    columns = [show_column([one[key] for key in first]) for one in values.values()]
    return table(("", *map(words, values)), list(zip(map(words, first), *columns, strict=True)))


def rows_table(values: Mapping[str, Any]) -> str:
    """One row for each entry, where every entry is a flat table with the same few keys; else ""."""
    entries = list(values.values())
    if not entries or not all(isinstance(entry, Mapping) for entry in entries):
        return ""
    columns = list(entries[0])
    flat = all(set(entry) == set(columns) and not any(isinstance(item, Mapping) for item in entry.values()) for entry in entries)
    if not flat or len(columns) > MAX_COLUMNS:
        return ""
    cells = [show_column([entry[column] for entry in entries]) for column in columns]
    return table(("", *map(words, columns)), list(zip(map(words, values), *cells, strict=True)))


def words(key: str) -> str:
    """A key as words."""
    return key.replace("_", " ")


def escape_cell(cell: str) -> str:
    """A cell's text without characters that end it."""
    return cell.replace("|", "\\|").replace("\n", " ")
