"""Output of commands: JSON on standard output for programs, text and tables on standard error for people."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.columns import is_figure

if TYPE_CHECKING:
    from rich.console import Console

NO_TERMINAL_WIDTH = 200  # columns of a table that is written to a file or a pipe
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d$")


def to_json_types(value: Any) -> Any:
    """Convert ``value`` to what JSON has: times to ISO 8601, sets and tuples to lists, other objects to text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_json_types(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [to_json_types(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    json.dump(to_json_types(document), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def print_message(text: str = "") -> None:
    """Print a line for the person at the terminal, on standard error."""
    print(text, file=sys.stderr)


def open_console() -> "Console":
    """Return a console on standard error, as wide as the terminal."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=False, width=None if sys.stderr.isatty() else NO_TERMINAL_WIDTH)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table for people, on standard error; columns of numbers are aligned at their right side."""
    from rich.table import Table
    from rich.text import Text

    console, found = open_console(), [tuple(row) for row in rows]
    console.print(Text(title, style="italic"), soft_wrap=True)  # as the title of the table it would be wrapped, and read as markup
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        filled = [row[place] for row in found if row[place] is not None]
        table.add_column(column, overflow="fold", justify="right" if filled and all(map(is_figure, filled)) else "left")
    for row in found:
        table.add_row(*[Text(format_cell(value)) for value in row])
    console.print(table)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, title: str, as_json: bool) -> None:
    """Print rows as one JSON array with every column, or the named columns as a table."""
    if as_json:
        print_json(list(rows))
        return
    print_table(f"{title}: {len(rows)}", columns, [[row.get(column) for column in columns] for row in rows])


def format_cell(value: Any) -> str:
    """Format a value for a table; times are converted to the local time zone."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, str) and _ISO_TIME.match(value):
        return format_cell(datetime.fromisoformat(value))
    if isinstance(value, list | tuple):
        return ", ".join(format_cell(item) for item in value)
    return str(value)
