"""Backup and restore of the database, with pg_dump and pg_restore of the server's own version."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from core.errors import ConfigurationError, StorageError
from db.engine import Database
from db.schema.revisions import current_revision
from db.server_order import split_servers
from deploy.local.embedded.postgres_programs import postgres_versions

# Parameters of a URL that decide how the server is verified and reached, and the variables in which libpq reads them.
_PARAMETERS = {
    "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR", "sslsni": "PGSSLSNI", "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION", "channel_binding": "PGCHANNELBINDING", "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME", "require_auth": "PGREQUIREAUTH", "target_session_attrs": "PGTARGETSESSIONATTRS",
    "connect_timeout": "PGCONNECT_TIMEOUT", "options": "PGOPTIONS", "application_name": "PGAPPNAME", "passfile": "PGPASSFILE",
    "hostaddr": "PGHOSTADDR",
}  # fmt: skip


def _client_program(name: str, major: int) -> str:
    """Return the path of a client program: of the server's version, else of a newer one.

    A newer pg_dump can read an older server, but an older server may not be able to restore its file.
    """
    found = {int(version): folder / name for version, folder in reversed(postgres_versions()) if (folder / name).exists()}
    on_path = shutil.which(name)
    if major in found:
        return str(found[major])
    newer = [path for version, path in sorted(found.items()) if version > major]
    if not newer and on_path is None:
        installed = ", ".join(str(version) for version in sorted(found)) or "none"
        raise ConfigurationError(
            f"{name} of PostgreSQL {major} is not installed (installed: {installed})", hint=f"apt-get install postgresql-client-{major}"
        )
    return str(newer[0]) if newer else str(on_path)


def _libpq_environment(url: str) -> dict[str, str]:
    """Return the environment for libpq: a password on the command line would be in every process list."""
    rest, servers = split_servers(url)
    parts = urlsplit(rest)
    hosts = [server.rpartition(":") for server in servers] or [(parts.hostname or "", "", str(parts.port or 5432))]
    values = {
        "PGHOST": ",".join(host for host, _, _ in hosts),
        "PGPORT": ",".join(port for _, _, port in hosts),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        **{_PARAMETERS[key]: value for key, value in parse_qsl(parts.query) if key in _PARAMETERS},
    }
    return {**os.environ, **{key: value for key, value in values.items() if value}}


def _run(command: list[str], url: str, what: str) -> None:
    done = subprocess.run(command, env=_libpq_environment(url), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"exit status {done.returncode}"
        raise StorageError(f"{what} failed: {message}", hint="is the client older than the server, or the database unreachable?")


def dump_database(url: str, file: Path) -> None:
    """Write the whole database to ``file``, in pg_dump's custom format, readable only by its owner.

    Raises
    ------
    ConfigurationError
        The file cannot be written, or no pg_dump of this version is installed.
    StorageError
        pg_dump failed.
    """
    program = _client_program("pg_dump", _server_and_revision(url)[0])
    fresh = file.with_name(file.name + ".part")
    try:
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600, exist_ok=False)  # never through a link that another user has put there meanwhile
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}"
        raise ConfigurationError(message, hint="give a file in a folder that this user may write") from error
    try:
        _run([program, "--format=custom", "--no-owner", "--no-privileges", "--file", str(fresh)], url, "pg_dump")
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


def require_backup(file: Path) -> None:
    """Check that there is a file to restore.

    Raises
    ------
    ConfigurationError
        There is none.
    """
    if not file.is_file():
        raise ConfigurationError(f"{file} does not exist or is not a file", hint="give a file that `db backup` wrote")


def restore_database(url: str, file: Path) -> None:
    """Restore ``file`` into an empty database, in one transaction.

    Raises
    ------
    ConfigurationError
        The file does not exist, or the database already has a schema.
    StorageError
        pg_restore failed; nothing was changed.
    """
    require_backup(file)
    major, revision = _server_and_revision(url)
    if revision is not None:
        message = f"the database already has a schema (revision {revision})"
        raise ConfigurationError(message, hint="restore into an empty database: nothing is overwritten")
    # Privileges are given by the upgrade that follows: a dump may name roles that this server does not have yet.
    options = [
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
        "--dbname",
        unquote(urlsplit(url).path.lstrip("/")),
    ]
    _run([_client_program("pg_restore", major), *options, str(file)], url, "pg_restore")


def _server_and_revision(url: str) -> tuple[int, str | None]:
    """Return (major version of the server, schema revision or None)."""
    with Database.open(url, pool_size=1) as database:
        return database.server_major(), current_revision(database)
