"""The stability index: what it is by hand, and that it grows with what moved."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.drift import EDGES, LEAST_N, Observation, counted, level, noise, stability_index

COUNTS = st.lists(st.integers(0, 500), min_size=5, max_size=5).filter(lambda counts: sum(counts) >= LEAST_N)


def test_by_hand() -> None:
    # shares 50.5, 50.5 and 90.5, 10.5 of 101: 0.39604 * ln(90.5 / 50.5) + 0.39604 * ln(50.5 / 10.5)
    assert stability_index([50, 50], [90, 10]) == pytest.approx(0.39604 * (0.58337 + 1.57059), abs=1e-4)
    assert stability_index([50, 50], [50, 50]) == 0.0


@given(COUNTS, COUNTS)
def test_never_negative_and_the_same_both_ways(one: list[int], other: list[int]) -> None:
    index = stability_index(one, other)
    assert index is not None
    assert index >= 0.0
    assert index == pytest.approx(stability_index(other, one))
    assert stability_index(one, one) == pytest.approx(0.0)


def test_equal_shares_are_stable_whatever_the_sizes() -> None:
    index = stability_index([0, 5000, 0, 0], [0, 60, 0, 0])
    assert index == pytest.approx(0.0)
    assert level(index) == "stable"


@given(st.integers(0, 10_000))
def test_chance_alone_is_not_taken_for_drift(seed: int) -> None:
    """Two draws from one law: the index is near what `noise` says, and hardly ever called drifted."""
    rng = random.Random(seed)
    one, other = ([0] * 10, [0] * 10)
    for counts, size in ((one, 400), (other, 60)):
        for _ in range(size):
            counts[rng.randrange(10)] += 1
    index = stability_index(one, other)
    assert index is not None
    assert index < 5 * noise(one, other)


def test_few_tell_nothing() -> None:
    assert stability_index([LEAST_N - 1, 0], [500, 500]) is None
    assert level(None) == "too few"
    assert [level(index) for index in (0.0, 0.0999, 0.1, 0.2499, 0.25, 3.0)] == ["stable", "stable", "watch", "watch", "drifted", "drifted"]


def test_other_bins_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 bins are expected, 3 were found"):
        stability_index([50, 50], [50, 50, 50])


def test_edges_rise_and_every_value_has_a_bin() -> None:
    for kind, edges in EDGES.items():
        assert all(low < high for low, high in pairwise(edges)), kind
        for value in (-1e9, *edges, 1e9):
            assert 0 <= Observation(kind, value).bin < Observation(kind, value).bins


def test_a_label_stands_behind_the_colon() -> None:
    seen = [Observation("probability:mel", 0.05), Observation("probability:mel", 1.0), Observation("probability:nv", 0.95)]
    assert counted(seen) == {"probability:mel": [1, *[0] * 8, 1], "probability:nv": [*[0] * 9, 1]}
    with pytest.raises(KeyError):
        counted([Observation("colour", 1.0)])
