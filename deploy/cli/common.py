"""What several commands share: options, the settings, the open database, times."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import ConfigurationError, NodeError
from deploy.terminal import print_message

if TYPE_CHECKING:
    from core.settings.settings import Settings
    from db.accounts.users import User
    from db.engine import Database
    from db.listings.reader import ReadingConnection

Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="DICOM_NODE_CONFIG", metavar="FILE", help="node.toml (default: built-in settings)", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON document on standard output")]
MOST_ID = (1 << 63) - 1  # of a row: a larger number is wrong usage, and no error of the database
Ids = Annotated[list[int], typer.Argument(metavar="ID", max=MOST_ID, help="one or more ids")]
JobId = Annotated[int, typer.Argument(metavar="ID", max=MOST_ID, help="job, see `jobs list`")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="maximum number of rows, the newest first")]
HINT = "see `jobs show ID`, `jobs list`, `deliveries list` or `rules unrouted`"


def operator_name() -> str:
    """Return the account that runs the command, for the audit trail."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # an account without a name, as in containers
        return f"cli:uid {os.getuid()}"


def read_settings(config: Path | None) -> "Settings":
    """Read the configuration.

    Raises
    ------
    ConfigurationError
        It is wrong; the command ends with exit status 2.
    """
    from deploy.settings_file import load_settings

    return load_settings(config.resolve() if config is not None else None)


def with_running_servers(settings: "Settings") -> "Settings":
    """Return ``settings`` with the URLs of the embedded servers of the node that runs in ``node.data_dir``, where URLs are empty."""
    from deploy.local.node_lock import ServerUrls, running_servers, with_server_urls

    if settings.database.url and settings.broker.url:
        return settings
    return with_server_urls(settings, running_servers(settings.node.data_dir) or ServerUrls(database="", broker=""))


def require_database_url(settings: "Settings") -> None:
    """Check that the URL of the database is known.

    Raises
    ------
    ConfigurationError
        It is not configured, and no node runs in ``node.data_dir``.
    """
    from deploy.local.node_lock import NO_DATABASE_HINT

    if not with_running_servers(settings).database.url:
        message = f"database.url is empty, and no node runs in {settings.node.data_dir.absolute()}"
        raise ConfigurationError(message, hint=NO_DATABASE_HINT)


@contextmanager
def open_database(config: Path | None) -> Iterator[tuple["Settings", "Database"]]:
    """Yield the settings and the open database, for commands that need nothing else."""
    from db.engine import Database
    from deploy.local.database.maintenance_database import maintenance_database

    settings = read_settings(config)
    with maintenance_database(settings) as url, Database.open(url, pool_size=1) as database:
        yield settings, database


@contextmanager
def open_privileged_database(config: Path | None) -> Iterator["Database"]:
    """Open the database with the role that may upgrade the schema."""
    from db.engine import Database
    from deploy.local.database.database_roles import admin_url
    from deploy.local.database.maintenance_database import maintenance_database

    settings = read_settings(config)
    with maintenance_database(settings) as url, Database.open(admin_url(settings, url), pool_size=1) as database:
        yield database


@contextmanager
def open_listing(config: Path | None) -> Iterator[tuple["Settings", "ReadingConnection"]]:
    """Yield the settings and a connection for reading, for commands that only list: SQLAlchemy is not loaded."""
    from db.listings.reader import ReadingConnection
    from deploy.local.database.maintenance_database import maintenance_database

    settings = read_settings(config)
    with maintenance_database(settings) as url, ReadingConnection(url) as reader:
        yield settings, reader


def find_user_by_name(database: "Database", name: str) -> "User":
    """Return the user with this sign-in name.

    Raises
    ------
    ConfigurationError
        There is none.
    """
    from db.accounts.users import find_user

    user = find_user(database, name)
    if user is None:
        raise ConfigurationError(f"there is no user {name!r}", hint="see `users list`")
    return user


def parse_time(text: str | None, option: str = "--since") -> datetime | None:
    """Parse the value of an option such as --since; a time without offset is UTC."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is not an ISO 8601 time such as 2026-01-31 or 2026-01-31T12:00:00+01:00"
        raise typer.BadParameter(message, param_hint=option) from error
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def print_done(ids: list[int], done: list[int], verb: str, reasons: list[str], hint: str = HINT) -> None:
    """Print how many of ``ids`` were done.

    Raises
    ------
    NodeError
        Some were not; it has the reason for each.
    """
    print_message(f"{len(done)} of {len(set(ids))} {verb}")
    if reasons:
        raise NodeError("; ".join(reasons), hint=hint)
