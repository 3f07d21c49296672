"""The card of a model as text for a terminal: figures stand below each other, and no line is longer than the terminal is wide."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from core.columns import is_figure, show_column, show_value
from deploy.terminal import open_console

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

INDENT = 2
GAP = 2  # between two columns; 1 where a table would else be too wide


def print_card(document: Mapping[str, Any]) -> None:
    """Print a card, given as JSON types, on standard error."""
    console = open_console()
    for part in card_parts(document, console.width):
        console.print(part)


def card_parts(values: Mapping[str, Any], width: int) -> Iterator["RenderableType"]:
    """Yield the texts, then the figures, then what is nested, each below its key; ``width``: columns of the terminal that are left."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    values = {key: value for key, value in values.items() if value not in ({}, [], "")}
    plain = {key: value for key, value in values.items() if not _is_nested(value)}
    figures = {key: value for key, value in plain.items() if is_figure(value)}
    texts = {key: value for key, value in plain.items() if key not in figures}
    if texts:
        yield _grid(list(texts), list(map(show_value, texts.values())), "left")
    if figures:
        yield _grid(list(figures), show_column(list(figures.values())), "right")
    for key, value in values.items():
        if _is_nested(value):
            yield Text(key, style="bold")
            yield Padding(Group(*_nested(value, width - INDENT)), (0, 0, 0, INDENT))


def _is_nested(value: Any) -> bool:
    """Whether a value takes lines of its own: a table, or a list of tables, lists or sentences."""
    if isinstance(value, list):
        return any(isinstance(item, Mapping | list) or (isinstance(item, str) and " " in item) for item in value)
    return isinstance(value, Mapping)


def _nested(value: Any, width: int) -> Iterator["RenderableType"]:
    if isinstance(value, Mapping):
        rows = _rows(value, width)
        yield from card_parts(value, width) if rows is None else [rows]
    elif all(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value):
            if place:
                yield ""
            yield from card_parts(item, width)
    else:
        yield _grid(["-"] * len(value), show_column(value), "left")


def _grid(keys: Sequence[str], values: Sequence[str], justify: Literal["left", "right"]) -> "Table":
    """One line for each key and its value; a longer value is continued below itself."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(justify=justify, overflow="fold")
    for key, value in zip(keys, values, strict=True):
        grid.add_row(Text(key), Text(value))
    return grid


def _rows(values: Mapping[str, Any], width: int) -> "Table | None":
    """One row for each entry; None where they are no flat tables with the same keys, or too wide."""
    from rich.table import Table
    from rich.text import Text

    entries = list(values.values())
    if not all(isinstance(entry, Mapping) and entry.keys() == entries[0].keys() for entry in entries):
        return None
    if any(_is_nested(value) for entry in entries for value in entry.values()):
        return None
    columns = {key: [entry[key] for entry in entries] for key in entries[0]}
    cells = {key: show_column(column) for key, column in columns.items()}
    heads = {key: key.replace("_", " ") for key in columns}
    # Widths are given, because Rich may make a column narrower than its cells where the table is as wide as the terminal.
    names = max(map(len, values))
    whole = {key: max(map(len, (heads[key], *cells[key]))) for key in columns}
    wrapped = {key: max(map(len, (*heads[key].split(), *cells[key]))) for key in columns}
    layouts = ((widths, gap) for gap in (GAP, 1) for widths in (whole, wrapped))
    widths, gap = next(((widths, gap) for widths, gap in layouts if names + sum(widths.values()) + gap * len(widths) <= width), ({}, 0))
    if not widths:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, gap), header_style="bold")
    table.add_column("", no_wrap=True, width=names)
    for key, column in columns.items():
        justify: Literal["left", "right"] = "right" if all(is_figure(value) for value in column) else "left"
        table.add_column(Text(heads[key]), justify=justify, width=widths[key])
    for row in zip(values, *cells.values(), strict=True):
        table.add_row(*map(Text, row))
    return table
