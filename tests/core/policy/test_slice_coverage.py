"""Gaps and holes in the slices held so far."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.slice_coverage import Slice, along, judge

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def stack(count: int, step: float = 2.5, orientation: tuple[float, ...] = AXIAL, first: int = 1) -> list[Slice]:
    return [Slice(first + i, orientation, (0.0, 0.0, step * i) if orientation == AXIAL else (0.0, step * i, 0.0)) for i in range(count)]


@given(st.integers(2, 60), st.floats(0.3, 10), st.randoms())
def test_a_regular_stack_is_whole_in_any_order(count: int, step: float, random: object) -> None:
    slices = stack(count, step)
    random.shuffle(slices)  # type: ignore[attr-defined]
    assert judge(slices).whole


@given(st.integers(4, 60), st.data())
def test_a_missing_slice_is_found(count: int, data: st.DataObject) -> None:
    slices = stack(count)
    del slices[data.draw(st.integers(1, count - 2))]
    assert not judge(slices).whole
    without_numbers = [Slice(None, one.orientation, one.position) for one in slices]
    assert not judge(without_numbers).whole or count == 4  # of three slices two steps are left: which one is usual?


def test_every_second_slice_is_not_whole_although_it_is_regular() -> None:
    assert not judge(stack(20)[::2]).whole


def test_localizers_are_ignored_but_their_numbers_count() -> None:
    scout = Slice(1, CORONAL, (0.0, 0.0, 0.0), localizer=True)
    assert judge([scout, *stack(10, first=2)]).whole
    in_between = [Slice(5, CORONAL, (0.0, 0.0, 0.0), localizer=True), *stack(4), *stack(6, first=6)]
    assert not judge(in_between).whole  # two stacks on top of each other, unevenly


def test_a_few_strays_of_another_orientation_are_ignored() -> None:
    assert judge([*stack(20), *stack(2, orientation=CORONAL, first=21)]).whole
    assert not judge([*stack(20), *stack(1, orientation=CORONAL, first=21), *stack(9, orientation=CORONAL, first=30)]).whole


def test_several_images_at_each_position_are_whole() -> None:
    again = [Slice(10 + one.instance_number, one.orientation, one.position) for one in stack(10) if one.instance_number]
    assert judge([*stack(10), *again]).whole
    assert not judge([*stack(10), *again[:4]]).whole


@pytest.mark.parametrize(
    "slices",
    [
        [],
        stack(1),
        [Slice(1, AXIAL, (0.0, 0.0, 0.0)), Slice(2, AXIAL, (0.0, 0.0, 0.0))],
        [Slice(1, None, None), Slice(2, None, None)],
        [Slice(1, AXIAL, (0.0, 0.0, 0.0), frames=200)],
    ],
    ids=["nothing", "one", "one place", "no positions", "multi-frame"],
)
def test_what_cannot_be_judged_is_not_whole(slices: list[Slice]) -> None:
    verdict = judge(slices)
    assert not verdict.whole
    assert verdict.reason


def test_along_the_normal() -> None:
    assert along(AXIAL, (5.0, 6.0, 7.0)) == pytest.approx(7.0)
    assert along((2.0, 0, 0, 0, 2.0, 0), (0.0, 0.0, 3.0)) == pytest.approx(3.0)
