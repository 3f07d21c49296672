"""Commands on the database: schema, backup, restore, auditors."""

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import ConfigurationError, StorageError
from deploy.cli.common import Config, open_privileged_database, operator_name, read_settings, require_database_url
from deploy.terminal import print_message

if TYPE_CHECKING:
    from db.engine import Database

app = typer.Typer(help="Upgrade, back up and restore the database; make auditors.")
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="backup file")]


Wait = Annotated[
    float, typer.Option("--wait", min=0.0, metavar="SECONDS", help="how long to wait for a database that does not respond yet")
]


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as opened_file:
        return hashlib.file_digest(opened_file, "sha256").hexdigest()


@app.command()
def upgrade(config: Config = None, wait: Wait = 0.0) -> None:
    """Create or upgrade the schema."""
    from db.engine import Database
    from db.schema.revisions import current_revision
    from deploy.local.database.database_roles import admin_url, upgrade_database
    from deploy.local.database.maintenance_database import maintenance_database

    settings = read_settings(config)
    with maintenance_database(settings, create=True) as url, Database.open(admin_url(settings, url), pool_size=1) as database:
        _wait_for_database(database, wait)
        before = current_revision(database)
        upgrade_database(settings, url)
        print_message(f"schema {before or '(empty)'} -> {current_revision(database)}")


def _wait_for_database(database: "Database", wait_s: float) -> None:
    """Return when the database responds or ``wait_s`` seconds have passed: containers may start before their database."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            database.ping()
            return
        except StorageError:
            if time.monotonic() >= deadline:
                return  # the next statement raises the error with its hint
            time.sleep(0.5)


@app.command()
def wait(config: Config = None, timeout_s: Annotated[float, typer.Option("--timeout", metavar="SECONDS")] = 600.0) -> None:
    """Wait until the schema is that of this version; changes nothing.

    For roles that start beside the job that upgrades it (Kubernetes).
    """
    from db.engine import Database
    from db.schema.revisions import expected_revision

    settings, deadline, told = read_settings(config), time.monotonic() + timeout_s, ""
    require_database_url(settings)
    with Database.open(settings.database.url, pool_size=1) as database:
        while (found := _revision_or_error(database)) != (expected := expected_revision()):
            if time.monotonic() > deadline:
                message = f"the schema is not that of this version after {timeout_s:g} s: {found or 'empty'}, expected {expected}"
                raise ConfigurationError(message, hint="run dicom-node db upgrade")
            if (waiting := f"waiting for the schema {expected}; now: {found or 'an empty database'}") != told:
                print_message(waiting)
                told = waiting
            time.sleep(1.0)


def _revision_or_error(database: "Database") -> str | None:
    """Return the revision of the schema, or what keeps the database from answering."""
    from db.schema.revisions import current_revision

    try:
        return current_revision(database)
    except StorageError as error:
        return str(error)


@app.command()
def backup(file: FileArgument, config: Config = None) -> None:
    """Write the database to FILE.

    In pg_dump's custom format. The image files in DATA_DIR/blobs have to be copied separately.
    """
    from db.engine import Database
    from db.operations.data_audit import record_backup
    from db.schema.revisions import current_revision
    from deploy.local.database.backup import dump_database
    from deploy.local.database.maintenance_database import maintenance_database

    settings = read_settings(config)
    with maintenance_database(settings) as url:
        dump_database(url, file)
        with Database.open(url, pool_size=1) as database:
            record_backup(database, actor=operator_name(), digest=file_digest(file), size_bytes=file.stat().st_size)
            if current_revision(database) is None:
                print_message("this database has no tables of a node: is database.url the right one?")
    print_message(f"{file}: {file.stat().st_size} bytes; now copy {settings.blobs_dir}: the database contains only the names of its files")


@app.command()
def restore(file: FileArgument, config: Config = None) -> None:
    """Restore FILE into an empty database.

    The configured database must be empty: a new DATA_DIR or a new database. Sessions, sign-in links, invitations and API tokens of the
    backup are revoked.
    """
    from db.accounts.access_revocation import end_access_of_all
    from db.anchor.anchor_key import load_private_key
    from db.anchor.anchor_writer import record_restore
    from db.engine import Database
    from db.operations.data_audit import record_restored
    from deploy.local.database.backup import require_backup, restore_database
    from deploy.local.database.database_roles import admin_url, upgrade_database
    from deploy.local.database.maintenance_database import maintenance_database

    settings = read_settings(config)
    require_backup(file)  # before a server is made for it
    with maintenance_database(settings, create=True) as url:
        restore_database(admin_url(settings, url), file)
        upgrade_database(settings, url)
        digest = file_digest(file)
        with Database.open(url, pool_size=1) as database:
            if settings.anchor_file.exists():
                record_restore(database, settings.anchor_file, load_private_key(settings.anchor_key), {"sha256": digest})
            record_restored(database, actor=operator_name(), digest=digest)
            ended = end_access_of_all(database, actor=operator_name())
    print_message(f"restored from {file}; revoked: {', '.join(f'{count} {name}' for name, count in ended.items())}".replace("_", " "))
    print_message("passwords, roles and disabled users are those of the backup: see `users list`")


@app.command()
def auditor(name: Annotated[str, typer.Argument(metavar="NAME", help="name of the database role")], config: Config = None) -> None:
    """Make a database role for auditors.

    It may read the views v_* and nothing else. The password is printed once. For an existing auditor it is replaced.
    """
    from db.auditor_role import make_auditor
    from db.schema import VIEWS

    with open_privileged_database(config) as database:
        password = make_auditor(database, name, VIEWS, actor=operator_name())
    print_message(f"{name} may read {', '.join(sorted(VIEWS))}; its password:")
    print(password)
