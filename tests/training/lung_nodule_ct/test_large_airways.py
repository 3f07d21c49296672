"""Trachea and large bronchi are found, emphysema and the air of a phantom are not."""

import numpy as np

from models.ct.lung_field import LungField
from training.lung_nodule_ct.series.large_airways import large_airways

SPACING_MM = (2.0, 2.0, 2.0)


def _chest(trachea: bool) -> tuple[np.ndarray, LungField, np.ndarray]:
    """Lungs of -870 HU, a trachea of 16 mm that ends in two bronchi of 12 mm, and a bulla; and which voxels are airways."""
    z, y, x = np.ogrid[:60, :80, :120]
    lung = np.broadcast_to(((y - 40) / 35) ** 2 + ((np.abs(x - 60) - 28) / 24) ** 2 < 1, (60, 80, 120)).copy()
    hu = np.where(lung, -870.0, 40.0)
    airway = np.zeros(hu.shape, dtype=bool)
    if trachea:
        airway |= ((y - 40) ** 2 + (x - 60) ** 2 <= 16) & (z >= 30)
        for side in (-1, 1):
            airway |= ((y - 40) ** 2 + (x - 60 - side * (30 - z) * 0.8) ** 2 <= 9) & (z < 30) & (z >= 8)
    bulla = np.broadcast_to((y - 40) ** 2 + (x - 20) ** 2 + (z - 45) ** 2 <= 36, hu.shape)
    hu[airway | bulla] = -1000.0
    air = lung | airway
    return hu.astype(np.float32), LungField(air, air, (1, 1, 1), SPACING_MM, 3.0), airway


def test_the_tree_is_found_down_to_the_bronchi_and_a_bulla_is_not() -> None:
    hu, lungs, airway = _chest(trachea=True)
    found = large_airways(hu, lungs)
    assert (found & ~airway).sum() == 0
    assert (found & airway).sum() > 0.8 * airway.sum()


def test_a_part_that_a_wall_separates_belongs_to_the_tree() -> None:
    hu, lungs, airway = _chest(trachea=True)
    hu[28:30] = np.where(airway[28:30], -700.0, hu[28:30])
    found = large_airways(hu, lungs)
    assert found[30:].any()
    assert found[:28].any()


def test_without_a_trachea_there_is_no_airway() -> None:
    hu, lungs, _ = _chest(trachea=False)
    assert not large_airways(hu, lungs).any()
