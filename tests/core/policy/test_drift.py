"""The population stability index and its levels."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.drift import EDGES, MIN_COUNT, DriftObservation, count_by_bin, drift_level, index_by_chance, stability_index

COUNTS = st.lists(st.integers(0, 500), min_size=5, max_size=5).filter(lambda counts: sum(counts) >= MIN_COUNT)


def test_the_index_equals_a_calculation_by_hand() -> None:
    # shares 50.5, 50.5 and 90.5, 10.5 of 101: 0.39604 * ln(90.5 / 50.5) + 0.39604 * ln(50.5 / 10.5)
    assert stability_index([50, 50], [90, 10]) == pytest.approx(0.39604 * (0.58337 + 1.57059), abs=1e-4)
    assert stability_index([50, 50], [50, 50]) == 0.0


@given(COUNTS, COUNTS)
def test_the_index_is_symmetric_and_never_negative(one: list[int], other: list[int]) -> None:
    index = stability_index(one, other)
    assert index is not None
    assert index >= 0.0
    assert index == pytest.approx(stability_index(other, one))
    assert stability_index(one, one) == pytest.approx(0.0)


def test_equal_shares_are_stable_for_any_sizes() -> None:
    index = stability_index([0, 5000, 0, 0], [0, 60, 0, 0])
    assert index == pytest.approx(0.0)
    assert drift_level(index) == "stable"


@given(st.integers(0, 10_000))
def test_two_samples_of_one_distribution_have_a_small_index(seed: int) -> None:
    """The index stays near what `index_by_chance` gives."""
    rng = random.Random(seed)
    one, other = ([0] * 10, [0] * 10)
    for counts, size in ((one, 400), (other, 60)):
        for _ in range(size):
            counts[rng.randrange(10)] += 1
    index = stability_index(one, other)
    assert index is not None
    assert index < 5 * index_by_chance(one, other)


def test_too_few_observations_give_no_index() -> None:
    assert stability_index([MIN_COUNT - 1, 0], [500, 500]) is None
    assert drift_level(None) == "too few"
    levels = [drift_level(index) for index in (0.0, 0.0999, 0.1, 0.2499, 0.25, 3.0)]
    assert levels == ["stable", "stable", "watch", "watch", "drifted", "drifted"]


def test_different_numbers_of_bins_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 bins are expected, 3 were found"):
        stability_index([50, 50], [50, 50, 50])


def test_edges_are_sorted_and_every_value_has_a_bin() -> None:
    for kind, edges in EDGES.items():
        assert all(low < high for low, high in pairwise(edges)), kind
        for value in (-1e9, *edges, 1e9):
            assert 0 <= DriftObservation(kind, value).bin < DriftObservation(kind, value).bins


def test_counts_are_kept_by_quantity_and_label() -> None:
    observations = [
        DriftObservation("probability:mel", 0.05),
        DriftObservation("probability:mel", 1.0),
        DriftObservation("probability:nv", 0.95),
    ]
    assert count_by_bin(observations) == {"probability:mel": [1, *[0] * 8, 1], "probability:nv": [*[0] * 9, 1]}
    with pytest.raises(KeyError):
        count_by_bin([DriftObservation("colour", 1.0)])
