"""Fixture of the tests of storage commitment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.orthanc import Orthanc


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """An Orthanc with the AE title PACS."""
    pacs = Orthanc(tmp_path / "orthanc", "PACS").start()
    yield pacs
    pacs.stop()
