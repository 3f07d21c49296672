"""Side, zone and distance to the pleura of a region in a synthetic trunk."""

from dataclasses import replace

import numpy as np
import pytest

from core.concepts import codes
from core.records import Code
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
