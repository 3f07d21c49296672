"""The Wilson interval: values from the literature, and its properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from core.policy.proportions import Share, rate_interval, wilson_interval


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    # R. G. Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_published_intervals(count: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(count, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@given(st.integers(0, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_within_0_and_1(given: tuple[int, int]) -> None:
    share = Share(*given)
    assert 0.0 <= share.low <= share.high <= 1.0
    assert share.value is None or share.low - 1e-12 <= share.value <= share.high + 1e-12


def test_more_than_all_is_no_proportion() -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(3, 2)


@pytest.mark.parametrize("count", [5, 12, 40, 300])
def test_the_interval_of_a_rate_is_near_the_exact_limits_of_poisson(count: int) -> None:
    low, high = rate_interval(count, 10)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * count) / 20, rel=0.02)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * count + 2) / 20, rel=0.02)


def test_no_event_has_a_rate_from_0() -> None:
    low, high = rate_interval(0, 4)
    assert (low, high) == (0.0, pytest.approx(3.69 / 4, rel=0.02))
    with pytest.raises(ValueError, match="no rate"):
        rate_interval(1, 0)
