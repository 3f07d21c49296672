"""Outlines and their measures, against shapes that can be counted by hand."""

import math

import numpy as np
import pytest

from models.dermoscopy.outline import largest_component, measure_region, paste_centre_square


def disc(radius: float, side: int = 200) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2
    return np.asarray(np.hypot(x, y) <= radius)


def test_a_rectangle_is_measured_with_cut_corners() -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[5:25, 10:40] = True
    found = measure_region(mask, (0.5, 2.0))
    assert found.area_px == 600
    assert found.border_px == pytest.approx(2 * 19 + 2 * 29 + 4 * math.sqrt(2) / 2)
    assert found.area_mm2 == pytest.approx(600.0)
    assert found.border_mm == pytest.approx(2 * 19 * 0.5 + 2 * 29 * 2.0 + 4 * math.hypot(0.5, 2.0) / 2)


def test_a_disc_is_round_and_a_star_is_not() -> None:
    found = measure_region(disc(60.0))
    assert found.area_px == pytest.approx(math.pi * 3600, rel=0.01)
    assert found.border_px == pytest.approx(2 * math.pi * 60, rel=0.08)
    assert found.roundness > 0.85
    y, x = np.mgrid[:200, :200] - 100
    star = np.hypot(x, y) < 50 + 25 * np.cos(9 * np.arctan2(y, x))
    assert measure_region(star).roundness < 0.6


def test_an_empty_mask_has_zero_measures() -> None:
    found = measure_region(np.zeros((10, 10), np.bool_), (1.0, 1.0))
    assert (found.area_px, found.border_px, found.roundness, found.area_mm2, found.border_mm) == (0, 0.0, 0.0, 0.0, 0.0)


def test_a_mask_at_the_edge_of_the_image_has_a_border_there() -> None:
    found = measure_region(np.ones((10, 10), np.bool_))
    assert found.border_px == pytest.approx(4 * 9 + 4 * math.sqrt(2) / 2)


def test_the_largest_component_is_kept_and_its_holes_filled() -> None:
    mask = disc(40.0) & ~disc(10.0)
    mask[:5, :5] = True
    assert np.array_equal(largest_component(mask), disc(40.0))
    assert not largest_component(np.zeros((5, 5), np.bool_)).any()


def test_a_square_is_pasted_into_the_centre_of_the_image() -> None:
    laid = paste_centre_square(np.ones((10, 10), np.float32), (30, 50))
    assert laid.shape == (30, 50)
    assert laid[:, 10:40].min() == 1.0
    assert laid.sum() == 900
