"""Missing slices among those held so far."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.slice_coverage import SliceLocation, check_slice_coverage, distance_along_normal

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def make_stack(count: int, step: float = 2.5, orientation: tuple[float, ...] = AXIAL, first: int = 1) -> list[SliceLocation]:
    """Parallel slices at equal distances (mm), numbered from ``first``."""
    positions = [(0.0, 0.0, step * i) if orientation == AXIAL else (0.0, step * i, 0.0) for i in range(count)]
    return [SliceLocation(first + i, orientation, position) for i, position in enumerate(positions)]


@given(st.integers(2, 60), st.floats(0.3, 10), st.randoms())
def test_a_regular_stack_is_complete_in_any_order(count: int, step: float, random: object) -> None:
    slices = make_stack(count, step)
    random.shuffle(slices)  # type: ignore[attr-defined]
    assert check_slice_coverage(slices).complete


@given(st.integers(4, 60), st.data())
def test_a_missing_slice_is_found(count: int, data: st.DataObject) -> None:
    slices = make_stack(count)
    del slices[data.draw(st.integers(1, count - 2))]
    assert not check_slice_coverage(slices).complete
    without_numbers = [SliceLocation(None, location.orientation, location.position) for location in slices]
    assert not check_slice_coverage(without_numbers).complete or count == 4  # three slices leave two distances, and none is usual


def test_every_second_slice_is_incomplete_by_its_numbers() -> None:
    assert not check_slice_coverage(make_stack(20)[::2]).complete


def test_localizers_are_ignored_except_for_their_numbers() -> None:
    scout = SliceLocation(1, CORONAL, (0.0, 0.0, 0.0), localizer=True)
    assert check_slice_coverage([scout, *make_stack(10, first=2)]).complete
    in_between = [SliceLocation(5, CORONAL, (0.0, 0.0, 0.0), localizer=True), *make_stack(4), *make_stack(6, first=6)]
    assert not check_slice_coverage(in_between).complete  # positions 1 to 4 are held twice, 5 and 6 once


def test_a_few_slices_of_another_orientation_are_ignored() -> None:
    assert check_slice_coverage([*make_stack(20), *make_stack(2, orientation=CORONAL, first=21)]).complete
    coronal = [*make_stack(1, orientation=CORONAL, first=21), *make_stack(9, orientation=CORONAL, first=30)]
    assert not check_slice_coverage([*make_stack(20), *coronal]).complete


def test_several_images_at_each_position_are_complete() -> None:
    second = [SliceLocation(10 + i, location.orientation, location.position) for i, location in enumerate(make_stack(10), 1)]
    assert check_slice_coverage([*make_stack(10), *second]).complete
    assert not check_slice_coverage([*make_stack(10), *second[:4]]).complete


@pytest.mark.parametrize(
    "slices",
    [
        [],
        make_stack(1),
        [SliceLocation(1, AXIAL, (0.0, 0.0, 0.0)), SliceLocation(2, AXIAL, (0.0, 0.0, 0.0))],
        [SliceLocation(1, None, None), SliceLocation(2, None, None)],
        [SliceLocation(1, AXIAL, (0.0, 0.0, 0.0), frames=200)],
    ],
    ids=["no slice", "one slice", "one position", "no positions", "multi-frame"],
)
def test_slices_without_usable_geometry_are_incomplete(slices: list[SliceLocation]) -> None:
    coverage = check_slice_coverage(slices)
    assert not coverage.complete
    assert coverage.reason


def test_distance_along_the_normal() -> None:
    assert distance_along_normal(AXIAL, (5.0, 6.0, 7.0)) == pytest.approx(7.0)
    assert distance_along_normal((2.0, 0, 0, 0, 2.0, 0), (0.0, 0.0, 3.0)) == pytest.approx(3.0)
