"""pg_dump and pg_restore, of the version of the server's own folder where one is installed."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.errors import ConfigurationError, StorageError
from deploy.embedded import postgres_versions


def _program(name: str) -> str:
    """The newest `name` found: an older client refuses a newer server (the other way round works)."""
    found = [folder / name for _, folder in sorted(postgres_versions(), key=lambda pair: int(pair[0]), reverse=True)]
    for path in found:
        if path.exists():
            return str(path)
    on_path = shutil.which(name)
    if on_path is None:
        raise ConfigurationError(f"{name} is not installed", hint="apt-get install postgresql-client, of the server's version or newer")
    return on_path


def _connection(url: str) -> dict[str, str]:
    """The libpq environment: a password on the command line would be in every process list."""
    parts = urlsplit(url)
    values = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
    }
    return {**os.environ, **{key: value for key, value in values.items() if value}}


def _run(command: list[str], url: str, what: str) -> None:
    done = subprocess.run(command, env=_connection(url), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"exit status {done.returncode}"
        raise StorageError(f"{what} failed: {message}", hint="is the client as new as the server, and the database within reach?")


def dump(url: str, file: Path) -> None:
    """The whole database to ``file``, in pg_dump's custom format, readable by its owner only."""
    fresh = file.with_name(file.name + ".part")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    try:
        _run([_program("pg_dump"), "--format=custom", "--no-owner", "--file", str(fresh)], url, "pg_dump")
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


def restore(url: str, file: Path) -> None:
    """``file`` into an empty database, all of it or nothing.

    Raises
    ------
    ConfigurationError
        The file is absent, or the database already holds a schema.
    StorageError
        pg_restore says no; nothing was changed.
    """
    from db.base import Database

    if not file.is_file():
        raise ConfigurationError(f"{file} is no file", hint="give a file that `db backup` wrote")
    database = Database.open(url, pool_size=1)
    try:
        revision = database.revision()
    finally:
        database.dispose()
    if revision is not None:
        message = f"the database already holds a schema (revision {revision})"
        raise ConfigurationError(message, hint="restore into an empty database: nothing is overwritten")
    command = [
        _program("pg_restore"),
        "--no-owner",
        "--single-transaction",
        "--exit-on-error",
        "--dbname",
        urlsplit(url).path.lstrip("/"),
        str(file),
    ]
    _run(command, url, "pg_restore")
