"""What the benchmarks share: the command line, a folder, a PostgreSQL, and how a section of the measurements is written."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from db.engine import Database
from db.schema.upgrade import upgrade_schema
from deploy.local.embedded.postgres import EmbeddedPostgres
from tests.bench import paired_runs


def command_line(description: str | None, *, page: Path | None = None) -> argparse.ArgumentParser:
    """Return a parser with the help of a benchmark. With the ``page`` that it writes, it has the option ``--no-write``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if page is not None:
        parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True, help=f"into docs/{page.name}")
    return parser


@contextmanager
def work_folder(parent: str | None = None) -> Iterator[Path]:
    """Yield an empty folder that other users can enter, as the one that PostgreSQL runs as, and remove it."""
    with tempfile.TemporaryDirectory(prefix="dicom-node-bench-", dir=parent) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def postgres_with_schema(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL with the current schema in ``folder``; yield its URL."""
    server = EmbeddedPostgres(folder)
    url = server.start()
    try:
        with Database.open(url, pool_size=1) as database:
            upgrade_schema(database)
        yield url
    finally:
        server.stop()


def report(arguments: argparse.Namespace, name: str, title: str, text: str, options: str = "", *, page: Path) -> None:
    """Print what was measured, and write it as a section of the page, unless --no-write: title, conditions, text."""
    print(text)
    if arguments.write:
        command = f"make bench SECTION={name}" + (f' ARGS="{options}"' if options else "")
        parts = [title, paired_runs.describe_conditions(command), text]
        paired_runs.write_section(name, "\n\n".join(part for part in parts if part), page)
