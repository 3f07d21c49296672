"""When a difference of volumes is called a change, and the volume doubling time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.priors.growth import LEAST_DAYS, MeasuringError, doubling_days, is_lung_rads_growth, judge_volumes
from core.records import Change

ERROR = MeasuringError(small_below_mm=6.0, small=0.33, other=0.17)


def test_the_limit_of_two_measurements_follows_from_the_median_error() -> None:
    """A normal error with a median of m has a standard deviation of m / 0.6745, and the difference of two one of sqrt(2) times that."""
    assert ERROR.ratio_95(8.0) == pytest.approx(math.exp(1.96 * math.sqrt(2) * math.log(1.17) / 0.6745))
    assert ERROR.ratio_95(8.0) == pytest.approx(1.91, abs=0.01)
    assert ERROR.ratio_95(5.9) == pytest.approx(3.23, abs=0.01)
    assert ERROR.ratio_95(None) == ERROR.ratio_95(6.0)


@pytest.mark.parametrize(
    ("then", "now", "ratio", "change"),
    [
        (100, 190, 1.91, Change.WITHIN_ERROR),
        (100, 192, 1.91, Change.LARGER),
        (192, 100, 1.91, Change.SMALLER),
        (190, 100, 1.91, Change.WITHIN_ERROR),
        (100, 124, 1.05, Change.WITHIN_ERROR),  # a quarter of the volume (BTS), however well it is measured
        (100, 126, 1.05, Change.LARGER),
    ],
)
def test_a_change_exceeds_the_measuring_error_and_a_quarter(then: float, now: float, ratio: float, change: Change) -> None:
    assert judge_volumes(then, now, ratio) is change


def test_the_volume_doubling_time() -> None:
    assert doubling_days(100, 200, 90) == 90
    assert doubling_days(100, 800, 90) == 30
    assert doubling_days(100, 100, 90) is None
    assert doubling_days(200, 100, 90) is None
    assert doubling_days(100, 200, LEAST_DAYS - 1) is None, "too short to say"


def test_growth_by_lung_rads_is_of_the_mean_axis_within_a_year() -> None:
    assert is_lung_rads_growth(1.6, 365)
    assert not is_lung_rads_growth(1.5, 365)
    assert not is_lung_rads_growth(1.6, 366)
    assert not is_lung_rads_growth(None, 90)


@given(then=st.floats(5, 20000), now=st.floats(5, 20000), ratio=st.floats(1, 4))
def test_a_change_and_its_reverse_are_opposite(then: float, now: float, ratio: float) -> None:
    opposite = {Change.LARGER: Change.SMALLER, Change.SMALLER: Change.LARGER, Change.WITHIN_ERROR: Change.WITHIN_ERROR}
    assert judge_volumes(now, then, ratio) is opposite[judge_volumes(then, now, ratio)]
