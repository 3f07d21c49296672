"""Packing and unpacking of masks and heat maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.records import HeatMap, Mask
from imaging.masks import expand_mask, pack_heat_map, pack_mask, unpack_heat_map, unpack_mask

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9))


@given(SHAPES.flatmap(lambda shape: arrays(bool, shape)))
def test_a_mask_is_restored_from_the_smallest_box(mask: np.ndarray) -> None:
    packed = pack_mask(mask)
    if packed is None:
        assert not mask.any()
        return
    assert np.array_equal(expand_mask(packed, mask.shape), mask)
    box = unpack_mask(packed)
    for axis in range(3):
        faces = box.take((0, -1), axis)
        assert faces.take(0, axis).any()
        assert faces.take(-1, axis).any()


def test_a_mask_outside_of_the_grid_is_an_error() -> None:
    packed = pack_mask(np.ones((2, 3, 4), bool))
    assert packed is not None
    with pytest.raises(ValueError, match="does not fit"):
        expand_mask(packed, (2, 3, 3))


def test_records_check_their_sizes() -> None:
    with pytest.raises(ValueError, match="has 1 bytes"):
        Mask((0, 0, 0), (1, 2, 3), b"")
    with pytest.raises(ValueError, match="has 6 bytes"):
        HeatMap((1, 2, 3), (0, 0, 0), (1, 1, 1), "x", b"")


@given(SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(0, 1, width=32))))
def test_a_heat_map_is_restored_within_half_a_quantisation_step(values: np.ndarray) -> None:
    found = unpack_heat_map(pack_heat_map(values, meaning="evidence"))
    assert found.dtype == np.float32
    assert np.abs(found - values).max() <= 0.5 / 255 + 1e-6
