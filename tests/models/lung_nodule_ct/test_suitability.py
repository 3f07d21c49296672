"""Series of another body part are recognised by the image: without lungs, or with their bases only."""

import numpy as np
import pytest

from imaging.volume.volume import Volume
from models.ct.lung_field import lung_field
from models.lung_nodule_ct.suitability import check_chest, check_geometry, coverage_notes

SPACING = (4.0, 3.0, 3.0)


def body(lungs: slice, *, slices: int = 80, upwards: bool = True, gas: bool = False) -> Volume:
    """An elliptic trunk of soft tissue with two lungs on some slices, and bowel gas on the others where asked for."""
    rows = columns = 128
    y, x = np.mgrid[:rows, :columns]
    hu = np.full((slices, rows, columns), -1000, np.int16)
    trunk = ((y - 64) / 40) ** 2 + ((x - 64) / 55) ** 2 < 1
    hu[:, trunk] = 40
    for side in (40, 88):
        lung = ((y - 60) / 26) ** 2 + ((x - side) / 16) ** 2 < 1
        hu[lungs, lung] = -850
    if gas:
        for k in range(5, slices, 12):
            hu[k : k + 6, ((y - 50) ** 2 + (x - 64) ** 2) < 36] = -1000
    affine = np.diag([SPACING[2], SPACING[1], SPACING[0] if upwards else -SPACING[0], 1.0])
    uids = tuple(f"2.25.{k + 1}" for k in range(slices))
    return Volume(hu, affine, SPACING, uids, (1,) * slices, "2.25.99", ())


def reason(volume: Volume) -> str:
    assert check_geometry(volume) == ""
    return check_chest(lung_field(volume.hu, volume.spacing_mm), volume)


def test_a_chest_is_accepted() -> None:
    chest = body(slice(8, 70))
    assert reason(chest) == ""
    lungs = lung_field(chest.hu, chest.spacing_mm)
    assert lungs is not None
    assert lungs.litres > 2
    assert coverage_notes(lungs, chest) == ()


@pytest.mark.parametrize("gas", [False, True])
def test_an_abdomen_without_lungs_is_refused(gas: bool) -> None:
    assert reason(body(slice(0, 0), gas=gas)).startswith("no lung field was found")


@pytest.mark.parametrize("upwards", [True, False])
def test_an_abdomen_with_the_bases_of_the_lungs_is_refused(upwards: bool) -> None:
    abdomen = body(slice(64, 80) if upwards else slice(0, 16), upwards=upwards, gas=True)
    lungs = lung_field(abdomen.hu, abdomen.spacing_mm)
    assert lungs is not None, "there is enough air to be taken for lungs"
    assert "only a part of the lungs" in reason(abdomen)
    assert "cut at the upper end" in reason(abdomen)


def test_a_neck_with_the_tips_of_the_lungs_is_refused() -> None:
    assert "cut at the lower end" in reason(body(slice(0, 16)))


def test_a_small_whole_lung_is_accepted() -> None:
    """A child: less air than an abdomen may show, and not cut."""
    assert reason(body(slice(30, 46))) == ""


def test_a_large_cut_lung_is_analysed_with_a_note() -> None:
    chest = body(slice(20, 80))
    assert reason(chest) == ""
    lungs = lung_field(chest.hu, chest.spacing_mm)
    assert lungs is not None
    (note,) = coverage_notes(lungs, chest)
    assert "upper end" in note


def test_air_or_tissue_alone_is_refused() -> None:
    empty = body(slice(0, 0))
    for value in (-1000, 40):
        volume = Volume(np.full_like(empty.hu, value), empty.affine, SPACING, empty.sop_instance_uids, empty.frame_numbers, "2.25.99", ())
        assert reason(volume).startswith("no lung field was found")
