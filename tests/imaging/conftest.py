from pathlib import Path

import pytest

from deploy.demo.synthetic.chest import Chest, make_chest, write_chest
from tests.support.real_data import shared_data


@pytest.fixture
def data() -> Path:
    return shared_data()


@pytest.fixture(scope="session")
def chest() -> Chest:
    return make_chest(11, slices=20, size=64, pixel_mm=4.0, diameters_mm=(10.0,))


@pytest.fixture
def series(chest: Chest, tmp_path: Path) -> list[Path]:
    """A small series on disk, in instance order (head to feet)."""
    return write_chest(tmp_path / "series", chest)
