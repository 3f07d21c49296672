"""Series without lungs are recognised by the image; a part of the lungs is analysed, and what was not covered is said."""

import dataclasses

import numpy as np
import pytest

from imaging.volume.volume import Volume
from models.ct.lung_field import lung_field
from models.lung_nodule_ct.suitability import check_chest, check_geometry, not_covered, thick_slices_note

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
    return check_chest(lung_field(volume.hu, volume.spacing_mm))


def test_a_chest_is_accepted() -> None:
    chest = body(slice(8, 70))
    assert reason(chest) == ""
    lungs = lung_field(chest.hu, chest.spacing_mm)
    assert lungs is not None
    assert lungs.litres > 2
    assert not_covered(lungs, chest) == ()


@pytest.mark.parametrize("gas", [False, True])
def test_an_abdomen_without_lungs_is_refused(gas: bool) -> None:
    assert reason(body(slice(0, 0), gas=gas)).startswith("no lung field was found")


def missing(volume: Volume) -> tuple[str, ...]:
    lungs = lung_field(volume.hu, volume.spacing_mm)
    assert lungs is not None
    return not_covered(lungs, volume)


@pytest.mark.parametrize("upwards", [True, False])
def test_the_bases_of_the_lungs_in_an_abdomen_are_analysed(upwards: bool) -> None:
    abdomen = body(slice(64, 80) if upwards else slice(0, 16), upwards=upwards, gas=True)
    assert reason(abdomen) == ""
    assert missing(abdomen) == (
        "The upper end of the lungs was not covered by the series: what lies there was not examined. "
        "The series shows 1.5 l of air-filled lung.",
    )


def test_the_tips_of_the_lungs_in_a_neck_are_analysed() -> None:
    assert reason(body(slice(0, 16))) == ""
    assert "The lower end of the lungs was not covered" in missing(body(slice(0, 16)))[0]


def test_the_middle_of_a_chest_is_analysed() -> None:
    assert "The lower end and the upper end of the lungs were not covered" in missing(body(slice(0, 30), slices=30))[0]


def test_a_small_whole_lung_is_accepted() -> None:
    """A child: less air than an abdomen may show, and not cut."""
    assert reason(body(slice(30, 46))) == ""


def test_a_large_cut_lung_is_analysed_with_a_note() -> None:
    chest = body(slice(20, 80))
    assert reason(chest) == ""
    lungs = lung_field(chest.hu, chest.spacing_mm)
    assert lungs is not None
    (note,) = not_covered(lungs, chest)
    assert "upper end" in note


def test_air_or_tissue_alone_is_refused() -> None:
    empty = body(slice(0, 0))
    for value in (-1000, 40):
        volume = Volume(np.full_like(empty.hu, value), empty.affine, SPACING, empty.sop_instance_uids, empty.frame_numbers, "2.25.99", ())
        assert reason(volume).startswith("no lung field was found")


def test_a_series_of_thick_slices_says_what_the_model_does_on_such() -> None:
    figures = {"found": 0.7, "found_as_acquired": 0.8, "false_positives_per_scan": 12.4}
    metrics = {"by_acquisition": {"slices_of_5_mm": figures, "as_acquired": {"false_positives_per_scan": 3.8}}}
    thick = body(slice(8, 70))
    thin = dataclasses.replace(thick, spacing_mm=(3.0, 3.0, 3.0))
    (note,) = thick_slices_note(thick, metrics)
    assert note.startswith("The slices are 4.0 mm apart. With slices of 5 mm the model found 0.70 of the nodules instead of 0.80, and ")
    assert note.endswith("marked 12 places in a series that are no nodule instead of 4.")
    assert thick_slices_note(thin, metrics) == thick_slices_note(thick, {}) == ()
