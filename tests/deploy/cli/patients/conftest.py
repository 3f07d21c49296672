"""A data folder with blobs and a configuration, for tests of the commands about one person."""

from pathlib import Path

import pytest

from db.blobs.store import Blobs


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    """The blobs of the data folder."""
    return Blobs(tmp_path / "data" / "blobs")


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    """A configuration with the database of the test; the data folder is beside it."""
    path = tmp_path / "node.toml"
    path.write_text(f'[database]\nurl = "{database_url}"\n')
    return path
