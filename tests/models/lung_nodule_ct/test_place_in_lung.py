"""Side, zone and distance to the pleura of a region in a synthetic trunk."""

from dataclasses import replace

import numpy as np
import pytest

from core.concepts import codes
from core.records import Code, OrganPlace
from imaging.volume.volume import Volume
from models.ct.isotropic_grid import grid_over_box
from models.ct.lung_field import lung_field
from models.lung_nodule_ct.candidates import NoduleCandidate
from models.lung_nodule_ct.description.place_in_lung import PlaceInLung, place_in_lung
from models.lung_nodule_ct.heat import NoduleHeat
from tests.models.lung_nodule_ct.test_suitability import SPACING, body

CHEST = body(slice(8, 68))  # lungs around columns 40 and 88, 26 rows by 16 columns of 3 mm, from slice 8 to 67
HEAT_SHAPE = (3, 3, 3)


def heat_of(volume: Volume) -> NoduleHeat:
    lungs = lung_field(volume.hu, SPACING)
    assert lungs is not None
    grid = grid_over_box((0.0, 0.0, 0.0), tuple(n - 1.0 for n in volume.hu.shape), SPACING)  # type: ignore[arg-type]
    empty = np.zeros((1, 1, 1), np.float32)
    return NoduleHeat(empty, empty, grid, lungs)


@pytest.fixture(scope="module")
def heat() -> NoduleHeat:
    return heat_of(CHEST)


def place(heat: NoduleHeat, z: float, y: float, x: float, volume: Volume = CHEST, *, whole: bool = True) -> PlaceInLung:
    """The place of a region of 3 mm around a native index."""
    corner = tuple(round(i) - 1 for i in heat.grid.from_native((z, y, x)))
    inside = np.ones(HEAT_SHAPE, bool)
    candidate = NoduleCandidate((z, y, x), (0.0, 0.0, 0.0), 0.9, 27.0, 3.7, 3.0, 3.0, (corner[0], corner[1], corner[2]), inside)
    return place_in_lung(candidate, heat, volume, whole=whole)


@pytest.mark.parametrize(
    ("z", "x", "zone", "side"),
    [(15, 40, codes.LOWER_ZONE, codes.RIGHT), (38, 40, codes.MIDDLE_ZONE, codes.RIGHT), (60, 88, codes.UPPER_ZONE, codes.LEFT)],
)
def test_zone_and_side(heat: NoduleHeat, z: float, x: float, zone: Code, side: Code) -> None:
    """In LPS, the first columns show the patient's right."""
    found = place(heat, z, 60, x)
    assert (found.zone, found.side) == (zone, side)


@pytest.mark.parametrize(("column_of_body", "side"), [(40, codes.RIGHT), (88, codes.LEFT)])
def test_the_side_of_a_patient_who_lies_on_the_side(column_of_body: int, side: Code) -> None:
    """Rows run from front to back of the patient there, and the next row is further to the right (decubitus)."""
    turned = np.ascontiguousarray(CHEST.hu.transpose(0, 2, 1)[:, ::-1])
    affine = np.eye(4)
    affine[:3, :3] = [[0.0, -SPACING[1], 0.0], [SPACING[2], 0.0, 0.0], [0.0, 0.0, SPACING[0]]]
    volume = replace(CHEST, hu=turned, affine=affine)
    row = turned.shape[1] - 1 - column_of_body
    assert place(heat_of(volume), 38, row, 60, volume).side == side


def test_no_zone_where_an_end_is_missing_and_no_side_at_the_middle(heat: NoduleHeat) -> None:
    assert place(heat, 38, 60, 40, whole=False).zone is None
    assert place(heat, 38, 60, 64).side is None


def test_the_distance_to_the_pleura_is_from_edge_to_edge(heat: NoduleHeat) -> None:
    middle, outer, on_it = (place(heat, 38, 60, x).pleura_mm for x in (40, 30, 25))
    assert middle is None or middle > 30 or middle == pytest.approx(46 - 3, abs=6)
    assert outer == pytest.approx(16 - 3, abs=3.1)  # the edge of the lung is at column 24.5
    assert on_it == 0


def within(heat: NoduleHeat, z: float, y: float, x: float, volume: Volume = CHEST) -> OrganPlace:
    found = place(heat, z, y, x, volume).within
    assert found is not None
    return found


def test_the_place_within_the_lung_of_its_side(heat: NoduleHeat) -> None:
    """The right lung lies at columns 24 to 56 and rows 34 to 86 about its middle, (60, 40), and from slice 8 to 67."""
    right, left = within(heat, 38, 60, 40), within(heat, 38, 60, 88)
    assert right.share == pytest.approx((0.5, 0.5, 0.5), abs=0.05)
    assert left.share == pytest.approx((0.5, 0.5, 0.5), abs=0.05)
    assert right.extent_mm == pytest.approx(left.extent_mm, abs=7)
    assert within(heat, 60, 60, 40).share[2] > within(heat, 20, 60, 40).share[2] + 0.4
    assert within(heat, 38, 60, 46).share[0] > right.share[0], "x grows towards the left of the patient"
    assert within(heat, 38, 70, 40).share[1] > right.share[1], "y grows towards the back"


def test_the_place_does_not_depend_on_the_order_of_slices_rows_and_columns(heat: NoduleHeat) -> None:
    z, y, x = 20.0, 70.0, 46.0
    expected = within(heat, z, y, x)
    turned = np.ascontiguousarray(CHEST.hu[::-1, ::-1, ::-1])
    affine = CHEST.affine.copy()
    affine[:3, 3] = CHEST.lps(*(n - 1.0 for n in CHEST.hu.shape))
    affine[:3, :3] *= -1
    volume = replace(CHEST, hu=turned, affine=affine)
    sizes = [n - 1.0 for n in turned.shape]
    found = within(heat_of(volume), sizes[0] - z, sizes[1] - y, sizes[2] - x, volume)
    assert found.share == pytest.approx(expected.share, abs=0.03)
    assert found.extent_mm == pytest.approx(expected.extent_mm, abs=7)


def test_a_lung_that_breathes_and_lies_elsewhere_gives_nearly_the_same_place(heat: NoduleHeat) -> None:
    """The lungs are 20 % longer and end higher: the same share of their height."""
    longer = body(slice(4, 76))
    found, before = within(heat_of(longer), 4 + 72 * 0.3, 60, 46, longer), within(heat, 8 + 60 * 0.3, 60, 46)
    assert found.share == pytest.approx(before.share, abs=0.04)
    assert found.extent_mm[2] == pytest.approx(before.extent_mm[2] * 1.2, rel=0.06)


def test_there_is_no_place_without_both_ends_or_a_side(heat: NoduleHeat) -> None:
    assert place(heat, 38, 60, 40, whole=False).within is None
    assert place(heat, 38, 60, 64).within is None
