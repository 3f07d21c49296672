"""A database and a folder for a whole file of tests: what a long run leaves in them is part of the run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.services import fresh_database, quick_folder


@pytest.fixture(scope="module")
def fuzz_database_url(postgres_url: str, database_template: str) -> Iterator[str]:
    with fresh_database(postgres_url, database_template) as url:
        yield url


@pytest.fixture(scope="module")
def fuzz_folder() -> Iterator[Path]:
    folder = quick_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
