import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.errors import GeometryError
from imaging.volume.geometry import check_steps, group_orientations, group_same_positions, slice_normal, stack_slices

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def positions(count: int, step: float, normal: np.ndarray, origin: tuple[float, float, float] = (-100.0, -120.0, 30.0)) -> np.ndarray:
    return np.asarray(origin) + np.arange(count)[:, None] * step * normal


@st.composite
def orientations(draw: st.DrawFn) -> tuple[float, ...]:
    angles = [draw(st.floats(-3, 3)) for _ in range(3)]
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        rotation = turn @ rotation
    return tuple(rotation[0]) + tuple(rotation[1])


@settings(deadline=None)
@given(orientations(), st.integers(2, 60), st.floats(0.4, 8.0), st.randoms(use_true_random=False))
def test_any_order_is_sorted_along_the_normal(orientation: tuple[float, ...], count: int, step: float, random: object) -> None:
    normal = slice_normal(orientation)
    truth = positions(count, step, normal)
    shuffled = list(range(count))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = stack_slices(truth[shuffled], normal)
    assert [shuffled[i] for i in found.order] == list(range(count))
    assert found.spacing_mm == pytest.approx(step)
    np.testing.assert_allclose(found.step, step * normal, atol=1e-9)


@settings(deadline=None)
@given(orientations(), st.integers(4, 60), st.floats(0.4, 8.0), st.data())
def test_a_missing_slice_is_a_gap(orientation: tuple[float, ...], count: int, step: float, data: st.DataObject) -> None:
    normal = slice_normal(orientation)
    missing = data.draw(st.integers(1, count - 2))
    kept = np.delete(positions(count, step, normal), missing, axis=0)
    with pytest.raises(GeometryError, match=rf"a gap: 1 slice is missing; after slice {missing} "):
        stack_slices(kept, normal)


@settings(deadline=None)
@given(st.integers(12, 80), st.integers(2, 6), st.data())
def test_several_missing_slices_are_counted(count: int, run: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, count - run - 1))
    kept = np.delete(positions(count, 2.5, np.array([0, 0, 1.0])), range(first, first + run), axis=0)
    assume(len(kept) > 5)
    with pytest.raises(GeometryError, match=rf"a gap: {run} slices are missing"):
        stack_slices(kept, np.array([0, 0, 1.0]))


@pytest.mark.parametrize("steps", [[0.4, 0.6], [0.4, 0.6, 0.4]])
def test_few_rounded_steps_are_even(steps: list[float]) -> None:
    check_steps(np.array(steps))  # of 0.5 mm, positions with one decimal


@settings(deadline=None)
@given(st.integers(3, 60), st.floats(0.5, 6.0), st.randoms(use_true_random=False))
def test_rounding_to_one_decimal_is_no_uneven_spacing(count: int, step: float, random: object) -> None:
    truth = positions(count, step, np.array([0, 0, 1.0]), (0.0, 0.0, random.uniform(-900, 900)))  # type: ignore[attr-defined]
    found = stack_slices(np.round(truth, 1), np.array([0, 0, 1.0]))
    assert found.spacing_mm == pytest.approx(step, abs=0.06)


def test_uneven_spacing_is_named() -> None:
    with pytest.raises(GeometryError, match=r"uneven spacing: steps from 3.00 to 4.40 mm"):
        check_steps(np.array([3.0, 3.0, 4.4, 3.0, 3.0]))
    with pytest.raises(GeometryError, match="uneven spacing"):
        check_steps(np.array([2.5] * 20 + [5.0] * 20))  # two spacings in one series, not twenty holes
    with pytest.raises(GeometryError, match="drift"):
        check_steps(np.linspace(3.0, 3.29, 60))


def test_tilt_is_named() -> None:
    normal = np.array([0.0, 0.0, 1.0])
    tilted = positions(20, 3.0, np.array([0.0, np.sin(np.radians(15)), np.cos(np.radians(15))]))
    with pytest.raises(GeometryError, match=r"tilt: slices are stacked 15.0 degrees"):
        stack_slices(tilted, normal)
    stack_slices(positions(20, 3.0, np.array([0.0, np.sin(np.radians(0.5)), np.cos(np.radians(0.5))])), normal)


def test_sideways_shift_is_named() -> None:
    shifted = positions(20, 3.0, np.array([0.0, 0.0, 1.0]))
    shifted[7, 0] += 12.0
    with pytest.raises(GeometryError, match=r"shifted sideways by up to 12.0 mm"):
        stack_slices(shifted, np.array([0.0, 0.0, 1.0]))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few(count: int) -> None:
    with pytest.raises(GeometryError, match="too few slices"):
        stack_slices(positions(count, 3.0, np.array([0.0, 0.0, 1.0])), np.array([0.0, 0.0, 1.0]))


@pytest.mark.parametrize("orientation", [(0.0,) * 6, (1, 0, 0, 1, 0, 0), (2, 0, 0, 0, 1, 0), (1, 0, 0, 0.5, 0.9, 0)])
def test_invalid_orientations(orientation: tuple[float, ...]) -> None:
    with pytest.raises(GeometryError, match="orthogonal"):
        slice_normal(orientation)


def test_orientation_groups_by_size() -> None:
    sagittal = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    groups = group_orientations(np.array([sagittal, AXIAL, AXIAL, (1.0, 0.00001, 0, 0, 1, 0)]))
    assert groups == [[1, 2, 3], [0]]


@given(st.lists(st.integers(0, 15), min_size=1, max_size=30))
def test_positions_are_grouped(places: list[int]) -> None:
    groups = group_same_positions(np.array(places, float))
    for group in groups:
        assert len({places[i] for i in group}) == 1
    expected = {place: places.count(place) for place in places if places.count(place) > 1}
    assert {places[group[0]]: len(group) for group in groups} == expected
