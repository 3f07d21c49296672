"""The parts of the nodule detector on made-up volumes: grid, lung field, synthetic nodules, candidates."""

import numpy as np
import pytest

from models.lung_nodule_ct import detect, grid
from models.lung_nodule_ct.lungs import lung_field
from models.lung_nodule_ct.synthetic import KINDS, Look, Nodule, NoiseBank, draw_look, insert, occupancy

COARSE = (3.0, 2.0, 2.0)
SOLID = Look(tissue_hu=30.0, core_hu=30.0, core_share=0.0, edge_mm=0.5, uneven=0.0, spicules=0)


def chest() -> np.ndarray:
    """A body of soft tissue with two lungs, (Z, Y, X) HU int16 at 3 x 2 x 2 mm: 180 x 280 x 340 mm."""
    z, y, x = np.ogrid[-90:90:3, -140:140:2, -170:170:2]
    hu = np.full((60, 140, 170), -1000, np.int16)
    hu[np.broadcast_to((y / 110) ** 2 + (x / 150) ** 2 < 1, hu.shape)] = 40
    for side in (-65, 65):
        hu[(z / 80) ** 2 + (y / 75) ** 2 + ((x - side) / 50) ** 2 < 1] = -850
    return hu


def whole(hu: np.ndarray) -> grid.Grid:
    return grid.Grid((0, 0, 0), (1, 1, 1), hu.shape)


def test_grid_maps_back_and_forth() -> None:
    z, y, x = np.ogrid[:20, :40, :40]
    ramp = z * 100.0 + y * 2.0 + x
    part = grid.over((2.0, 5.0, 5.0), (15.0, 30.0, 30.0), (3.0, 0.7, 0.7))
    values = grid.resample(ramp, part, smooth=False)
    assert values.shape == part.shape
    native = part.native((7, 11, 3))
    assert values[7, 11, 3] == pytest.approx(native[0] * 100 + native[1] * 2 + native[2], abs=1e-2)
    assert part.of_native(native) == pytest.approx((7, 11, 3))


def test_lung_field_holds_both_lungs_and_what_sits_on_the_pleura() -> None:
    hu = chest()
    litres = float((hu == -850).sum()) * 12e-6
    edge = int(np.flatnonzero(hu[30, 70] == -850)[0]) + 3
    z, y, x = np.ogrid[:60, :140, :170]
    hu[((z - 30) * 3) ** 2 + ((y - 70) * 2) ** 2 + ((x - edge) * 2) ** 2 < 9**2] = 40  # a nodule on the chest wall
    lungs = lung_field(hu, COARSE)
    assert lungs is not None
    assert lungs.litres == pytest.approx(litres, rel=0.1)
    field = lungs.on(lungs.field, whole(hu))
    assert field[30, 70, edge]
    assert not field[30, 2, 2]  # outside the body
    assert not field[30, 70, 20]  # the chest wall itself
    assert not field[30, 130, 85]


@pytest.mark.parametrize("value", [-1000, 40])
def test_no_lung_field_in_air_or_in_tissue(value: int) -> None:
    assert lung_field(np.full((40, 128, 128), value, np.int16), COARSE) is None


@pytest.mark.parametrize("spacing", [(3.0, 0.564, 0.564), (1.6, 0.781, 0.781)])
@pytest.mark.parametrize("diameter", [6.0, 12.0, 25.0])
@pytest.mark.parametrize("kind", KINDS)
def test_synthetic_nodule_has_the_volume_that_was_asked_for(spacing: tuple[float, float, float], diameter: float, kind: str) -> None:
    rng = np.random.default_rng(3)
    share, core, middle = occupancy(rng, diameter, spacing, (0.3, -0.2, 0.1), draw_look(rng, kind))
    equivalent = (6 / np.pi * float(share.sum()) * float(np.prod(spacing))) ** (1 / 3)
    assert equivalent == pytest.approx(diameter, rel=0.1)
    assert share.min() >= 0
    assert share.max() <= 1
    assert (core <= share).all()
    assert share[middle] > 0.5
    assert (core.max() > 0.05) == (kind == "part_solid")


def test_insert_changes_only_its_place_and_reaches_its_density() -> None:
    rng = np.random.default_rng(4)
    before = chest()
    noise = NoiseBank(before, COARSE, rng)
    hu, share = before.copy(), np.zeros(before.shape, np.float32)
    insert(hu, share, COARSE, rng, noise, Nodule((30.0, 70.0, 52.0), 16.0, "solid"), SOLID)
    far = share == 0
    assert np.array_equal(hu[far], before[far])
    assert abs(float(hu[30, 70, 52]) - 30) < 40
    centre = (np.argwhere(share > 0) * share[share > 0][:, None]).sum(0) / share.sum()
    assert centre == pytest.approx((30, 70, 52), abs=0.3)


def test_the_same_seed_gives_the_same_nodule() -> None:
    def once() -> np.ndarray:
        rng = np.random.default_rng(5)
        hu = chest()
        insert(hu, np.zeros(hu.shape, np.float32), COARSE, rng, NoiseBank(hu, COARSE, rng), Nodule((30.0, 70.0, 52.0), 10.0, "part_solid"))
        return hu

    assert np.array_equal(once(), once())


def test_candidates_come_best_first_with_place_and_size() -> None:
    hu = chest()
    lungs = lung_field(hu, COARSE)
    assert lungs is not None
    part = grid.over((10.0, 40.0, 30.0), (40.0, 90.0, 75.0), COARSE)
    z, y, x = np.ogrid[: part.shape[0], : part.shape[1], : part.shape[2]]
    values = np.zeros(part.shape, np.float32)
    values[(z - 20) ** 2 + (y - 30) ** 2 + (x - 40) ** 2 <= 6**2] = 0.9
    values[(z - 60) ** 2 + (y - 60) ** 2 + (x - 50) ** 2 <= 4**2] = 0.7
    values[80, 90, 80] = 1.0  # a speck
    found = detect.candidates(detect.Heat(values, part, lungs), {"heat": 0.3, "volume_mm3": 15.0, "score": 0.5})
    assert [round(c.score, 2) for c in found] == [0.9, 0.7]
    assert found[0].centre == pytest.approx(part.native((20, 30, 40)), abs=0.05)
    assert found[0].diameter_mm == pytest.approx(12.0, rel=0.06)
    assert found[0].long_axis_mm == pytest.approx(13.0, abs=0.6)
    assert found[1].diameter_mm == pytest.approx(8.0, rel=0.08)
