"""A database and a folder for all tests of a module: what a run accumulates in them is part of the test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.memory_folder import memory_folder
from tests.support.services import fresh_database


@pytest.fixture(scope="module")
def fuzz_database_url(postgres_url: str, database_template: str) -> Iterator[str]:
    """Yield the URL of the database."""
    with fresh_database(postgres_url, database_template) as url:
        yield url


@pytest.fixture(scope="module")
def fuzz_folder() -> Iterator[Path]:
    """Yield the folder."""
    folder = memory_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
