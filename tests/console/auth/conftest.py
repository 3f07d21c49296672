"""A console with one user of each role."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engine import Database
from tests.support.console import RunningConsole, add_users


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    """The console, with users whose names are their roles."""
    add_users(database)
    with RunningConsole(database, tmp_path) as running:
        yield running
