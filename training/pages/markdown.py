"""Tables of Markdown from the nested tables of a card. No torch, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAX_COLUMNS = 12
TOP_DEPTH = 3  # of headings: the title and the section have the two above
CURVE = "froc"  # a list of points, shown as a plot


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with the columns ``head``."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(escape_cell(cell) for cell in line) + " |" for line in lines)


def bullets(items: Iterable[str]) -> str:
    """A list with one item per line."""
    return "\n".join(f"- {item}" for item in items)


def nested_tables(values: Mapping[str, Any], depth: int = TOP_DEPTH) -> str:
    """Text as paragraphs, plain values as one table, tables of tables with the same keys as one table each; ``depth`` of the headings.

    Neighbouring tables with the same keys become one table, and a flat table inside of another table one row. Whole curves are left out,
    because the plots show them.
    """
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping) and key != CURVE}
    parts = [] if "measured" not in plain else [f"How it was measured: {plain.pop('measured')}."]
    if plain:
        parts.append(table(("", ""), [(words(key), show(value)) for key, value in plain.items()]))
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
    return table(("", *map(words, values)), [(words(key), *(show(one[key]) for one in values.values())) for key in first])


def rows_table(values: Mapping[str, Any]) -> str:
    """One row for each entry, where every entry is a flat table with the same few keys; else ""."""
    entries = list(values.values())
    if not entries or not all(isinstance(entry, Mapping) for entry in entries):
        return ""
    columns = list(entries[0])
    flat = all(set(entry) == set(columns) and not any(isinstance(item, Mapping) for item in entry.values()) for entry in entries)
    if not flat or len(columns) > MAX_COLUMNS:
        return ""
    return table(("", *map(words, columns)), [(words(key), *(show(entry[c]) for c in columns)) for key, entry in values.items()])


def words(key: str) -> str:
    """A key as words."""
    return key.replace("_", " ")


def show(value: Any) -> str:
    """A value as text; floats with four significant digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(show(item) for item in value)
    return str(value)


def escape_cell(cell: str) -> str:
    """A cell's text without characters that end it."""
    return cell.replace("|", "\\|").replace("\n", " ")
