"""The database: schema, backup, restore."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.common import Config, say, settings_of

app = typer.Typer(help="The database.")
FileArgument = Annotated[Path, typer.Argument(metavar="FILE")]


@app.command()
def upgrade(config: Config = None) -> None:
    """Bring the schema to this version's revision."""
    from db.engine import Database
    from db.schema.revisions import current_revision
    from db.schema.upgrade import upgrade_schema
    from deploy.local.maintenance_database import database_of

    with database_of(settings_of(config), create=True) as url:
        database = Database.open(url, pool_size=1)
        try:
            before = current_revision(database)
            upgrade_schema(database)
            say(f"schema {before or '(empty)'} -> {current_revision(database)}")
        finally:
            database.dispose()


@app.command()
def backup(file: FileArgument, config: Config = None) -> None:
    """Dump the database to FILE (pg_dump, custom format). The blobs under DATA_DIR/blobs are copied apart."""
    from deploy.local.backup import dump
    from deploy.local.maintenance_database import database_of

    settings = settings_of(config)
    with database_of(settings) as url:
        dump(url, file)
    say(f"{file}: {file.stat().st_size} bytes; copy {settings.blobs_dir} after it: the database only names its files")


@app.command()
def restore(file: FileArgument, config: Config = None) -> None:
    """Restore FILE into the configured database, which must be empty (a new DATA_DIR, or a new database)."""
    from deploy.local.backup import restore as load
    from deploy.local.maintenance_database import database_of

    with database_of(settings_of(config), create=True) as url:
        load(url, file)
    say(f"restored from {file}")
