"""Backup and restore with pg_dump and pg_restore of the server's own version."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.errors import ConfigurationError, StorageError
from db.engine import Database
from db.schema.revisions import current_revision
from deploy.local.embedded_servers import postgres_versions


def _program(name: str, major: int) -> str:
    """``name`` of the server's own version; else a newer one, which can read it, though what it writes may not suit an older server."""
    found = {int(version): folder / name for version, folder in reversed(postgres_versions()) if (folder / name).exists()}
    on_path = shutil.which(name)
    if major in found:
        return str(found[major])
    newer = [path for version, path in sorted(found.items()) if version > major]
    if not newer and on_path is None:
        have = ", ".join(str(version) for version in sorted(found)) or "none"
        raise ConfigurationError(
            f"{name} of PostgreSQL {major} is not installed (found: {have})", hint=f"apt-get install postgresql-client-{major}"
        )
    return str(newer[0]) if newer else str(on_path)


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
    program = _program("pg_dump", _look(url)[0])
    fresh = file.with_name(file.name + ".part")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    try:
        _run([program, "--format=custom", "--no-owner", "--file", str(fresh)], url, "pg_dump")
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
    if not file.is_file():
        raise ConfigurationError(f"{file} is no file", hint="give a file that `db backup` wrote")
    major, revision = _look(url)
    if revision is not None:
        message = f"the database already holds a schema (revision {revision})"
        raise ConfigurationError(message, hint="restore into an empty database: nothing is overwritten")
    options = ["--no-owner", "--single-transaction", "--exit-on-error", "--dbname", urlsplit(url).path.lstrip("/")]
    _run([_program("pg_restore", major), *options, str(file)], url, "pg_restore")


def _look(url: str) -> tuple[int, str | None]:
    """(major version of the server, schema revision)."""
    database = Database.open(url, pool_size=1)
    try:
        return database.server_major(), current_revision(database)
    finally:
        database.dispose()
