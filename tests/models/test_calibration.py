"""Probabilities, temperature, tiers and calibration error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelError
from core.states import Tier
from models.calibration import confidence_tier, softmax
from models.card import Tiers
from training.calibration import expected_calibration_error, fit_temperature, negative_log_likelihood

LIMITS = Tiers(high=0.85, review=0.60, malignant_limit=0.05)
ORDER = [Tier.UNCERTAIN, Tier.REVIEW, Tier.HIGH]
unit = st.floats(0.0, 1.0)


@given(unit, st.booleans(), unit)
def test_tiers_follow_the_limits(p: float, malignant: bool, danger: float) -> None:
    given_tier = confidence_tier(p, LIMITS, malignant=malignant, malignant_probability=danger)
    if p < 0.60:
        assert given_tier is Tier.UNCERTAIN
    elif p <= 0.85:
        assert given_tier is Tier.REVIEW
    elif malignant or danger <= LIMITS.malignant_limit:
        assert given_tier is Tier.HIGH
    else:
        assert given_tier is Tier.REVIEW


@given(unit, unit)
def test_no_benign_answer_is_high_while_malignancy_is_likely(p: float, danger: float) -> None:
    given_tier = confidence_tier(p, LIMITS, malignant=False, malignant_probability=danger)
    assert not (given_tier is Tier.HIGH and danger > LIMITS.malignant_limit)


@given(unit, unit, st.booleans(), unit)
def test_a_higher_probability_never_has_a_lower_tier(a: float, b: float, malignant: bool, danger: float) -> None:
    low, high = (confidence_tier(p, LIMITS, malignant=malignant, malignant_probability=danger) for p in sorted((a, b)))
    assert ORDER.index(low) <= ORDER.index(high)


@pytest.mark.parametrize(("p", "expected"), [(0.85, Tier.REVIEW), (0.8500001, Tier.HIGH), (0.60, Tier.REVIEW), (0.5999999, Tier.UNCERTAIN)])
def test_probabilities_at_the_limits(p: float, expected: Tier) -> None:
    assert confidence_tier(p, LIMITS) is expected


@pytest.mark.parametrize(("high", "review"), [(0.5, 0.6), (1.0, 0.6), (0.8, 0.0)])
def test_contradictory_limits_are_refused(high: float, review: float) -> None:
    with pytest.raises(ModelError, match="tiers must satisfy"):
        Tiers(high=high, review=review)


def sample(scale: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels are drawn from softmax(logits / scale): their right temperature is ``scale``."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2.5, (count, 5))
    chance = softmax(logits, scale)
    labels = (rng.random((count, 1)) < chance.cumsum(axis=1)).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_right_temperature_is_found_and_calibrates(scale: float) -> None:
    logits, labels = sample(scale)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(scale, rel=0.05)
    assert expected_calibration_error(softmax(logits, found), labels) < 0.015
    assert negative_log_likelihood(logits, labels, found) <= negative_log_likelihood(logits, labels, scale) + 1e-9
    assert expected_calibration_error(softmax(logits, scale / 4), labels) > 0.05


@given(st.lists(st.lists(st.floats(-80, 80), min_size=3, max_size=3), min_size=1, max_size=5), st.floats(0.1, 10))
def test_softmax_gives_probabilities_in_the_order_of_the_logits(rows: list[list[float]], temperature: float) -> None:
    logits = np.array(rows)
    p = softmax(logits, temperature)
    assert np.allclose(p.sum(axis=1), 1.0)
    assert (p >= 0).all()
    assert np.array_equal(p.max(axis=1), p[np.arange(len(p)), logits.argmax(axis=1)])
