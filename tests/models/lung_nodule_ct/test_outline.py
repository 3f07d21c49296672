"""The outline of a candidate by its density."""

import numpy as np
import pytest

from models.ct import isotropic_grid
from models.lung_nodule_ct.candidates import NoduleCandidate, find_candidates
from models.lung_nodule_ct.description.outline import outline_by_density
from models.lung_nodule_ct.heat import NoduleHeat
from tests.support.lung_heat import BALL, ball_heat


def found_in(heat: NoduleHeat) -> NoduleCandidate:
    (found,) = find_candidates(heat, {"heat": 0.3, "volume_mm3": 15.0})
    return found


@pytest.mark.parametrize("hu", [40.0, -550.0])
@pytest.mark.parametrize("heat_radius", [4.5, 6.0, 7.5])
def test_the_outline_has_the_size_of_the_nodule_whatever_the_size_of_the_heat(heat_radius: float, hu: float) -> None:
    heat = ball_heat(heat_radius, hu=hu, tissue_radius=6.0)
    candidate = found_in(heat)
    outlined = outline_by_density(candidate, heat)
    assert outlined.diameter_mm == pytest.approx(12.0, rel=0.06)
    assert outlined.long_axis_mm == pytest.approx(13.0, abs=0.6)
    assert outlined.volume_mm3 == outlined.inside.sum()
    assert (outlined.centre, outlined.score) == (candidate.centre, candidate.score)
    middle = [corner + size / 2 - 0.5 for corner, size in zip(outlined.corner, outlined.inside.shape, strict=True)]
    assert middle == pytest.approx(BALL, abs=0.5)


def test_a_vessel_is_cut_off() -> None:
    heat = ball_heat(6.0)
    z, y, _ = (slice(at - 1, at + 1) for at in BALL)
    heat.image[z, y, :] = isotropic_grid.normalise(np.float32(40.0))
    assert outline_by_density(found_in(heat), heat).diameter_mm == pytest.approx(12.0, rel=0.08)


def test_the_outline_reaches_two_millimetres_beyond_the_heat_at_most() -> None:
    heat = ball_heat(4.0, tissue_radius=15.0)
    assert 11.0 <= outline_by_density(found_in(heat), heat).diameter_mm <= 12.2


def test_a_region_without_contrast_stays_as_it_is() -> None:
    heat = ball_heat(5.0, hu=-800.0)
    candidate = found_in(heat)
    assert outline_by_density(candidate, heat) is candidate
