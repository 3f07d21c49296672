"""The database: schema, backup, restore."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.common import Config, database_url, opened, say, settings_of

app = typer.Typer(help="The database.")
FileArgument = Annotated[Path, typer.Argument(metavar="FILE")]


@app.command()
def upgrade(config: Config = None) -> None:
    """Bring the schema to this version's revision."""
    with opened(config) as (_, database):
        before = database.revision()
        database.upgrade()
        say(f"schema {before or '(empty)'} -> {database.revision()}")


@app.command()
def backup(file: FileArgument, config: Config = None) -> None:
    """Dump the database to FILE (pg_dump, custom format). The blobs under DATA_DIR/blobs are copied apart."""
    from deploy.backup import dump

    settings = settings_of(config)
    dump(database_url(settings), file)
    say(f"{file}: {file.stat().st_size} bytes; copy {settings.blobs_dir} too: the database only names its files")


@app.command()
def restore(file: FileArgument, config: Config = None) -> None:
    """Restore FILE into the configured database, which must be empty."""
    from deploy.backup import restore as load

    load(database_url(settings_of(config)), file)
    say(f"restored from {file}")
