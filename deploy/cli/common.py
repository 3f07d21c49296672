"""What the commands share: options, settings with the running node's servers filled in, tables, JSON."""

import getpass
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import ConfigurationError, NodeError
from core.settings.settings import Settings
from deploy.local.node_lock import Servers, running_servers
from deploy.settings_file import load_settings

if TYPE_CHECKING:
    from db.engine import Database

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d$")

Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="DICOM_NODE_CONFIG", metavar="FILE", help="node.toml; without it the defaults", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


def operator() -> str:
    """Who gives the command, for the audit trail: the account of the operating system."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name, as containers have
        return f"cli:uid {os.getuid()}"


def settings_of(config: Path | None) -> Settings:
    """The configuration; one line of error and exit 2 where it is wrong."""
    return load_settings(config.resolve() if config is not None else None)


def with_servers(settings: Settings) -> Settings:
    """``settings`` with the URLs of the embedded servers of the node that runs in ``node.data_dir``.

    Raises
    ------
    ConfigurationError
        A URL is empty and no such node runs.
    """
    if settings.database.url and settings.broker.url:
        return settings
    servers = running_servers(settings.node.data_dir)
    return settings_with(settings, servers or Servers(database="", broker=""))


def settings_with(settings: Settings, servers: Servers) -> Settings:
    """URLs that the configuration leaves empty, filled in."""
    database = settings.database.model_copy(update={"url": settings.database.url or servers.database})
    broker = settings.broker.model_copy(update={"url": settings.broker.url or servers.broker})
    return settings.model_copy(update={"database": database, "broker": broker})


def database_url(settings: Settings) -> str:
    """The URL of the database, set or found (see `with_servers`)."""
    url = with_servers(settings).database.url
    if not url:
        raise ConfigurationError(
            f"database.url is empty and no node runs in {settings.node.data_dir}",
            hint="start `dicom-node up` with this configuration, or set database.url",
        )
    return url


@contextmanager
def opened(config: Path | None) -> Iterator[tuple[Settings, "Database"]]:
    """Settings and the open database, for commands that only need these."""
    from db.engine import Database
    from deploy.local.maintenance_database import database_of

    settings = settings_of(config)
    with database_of(settings) as url:
        database = Database.open(url, pool_size=1)
        try:
            yield settings, database
        finally:
            database.dispose()


def plain(value: Any) -> Any:
    """``value`` for JSON: times in ISO 8601, sets and tuples as lists, everything else as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def emit(document: Any) -> None:
    """One JSON document on standard output."""
    json.dump(plain(document), sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def say(text: str = "") -> None:
    """A line for the person at the terminal: standard error."""
    print(text, file=sys.stderr)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people, on standard error; as wide as it needs where nobody looks at a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=False, width=None if sys.stderr.isatty() else 200)
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*[Text(cell(value)) for value in row])
    console.print(shown)


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, str) and _TIME.match(value):
        return cell(datetime.fromisoformat(value))
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    return str(value)


def listing(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, title: str, as_json: bool) -> None:
    """Rows as one JSON array, or the named columns of them as a table."""
    if as_json:
        emit(list(rows))
        return
    table(f"{title}: {len(rows)}", columns, [[row.get(column) for column in columns] for row in rows])


def moment(text: str | None) -> datetime | None:
    """The value of --since; without an offset it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no ISO 8601 time such as 2026-01-31 or 2026-01-31T12:00:00+01:00", param_hint="--since"
        ) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def report(ids: list[int], done: list[int], word: str, obstacles: list[str]) -> None:
    """Exit 1 unless all was done, with what stood in the way of each."""
    say(f"{len(done)} of {len(set(ids))} {word}")
    if obstacles:
        raise NodeError("; ".join(obstacles), hint="see `jobs show ID`, `jobs list`, `deliveries list` or `rules unrouted`")
