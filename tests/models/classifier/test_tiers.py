"""Tiers by the limits of a card."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ModelError
from core.states import Tier
from models import registry
from models.card import Tiers
from models.classifier.tiers import class_tier, confidence_tier, malignant_probability

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


def test_a_class_has_the_tier_of_its_probability_and_of_the_malignant_ones() -> None:
    card = registry.card("dermoscopy_7class")
    names = [label.name for label in card.labels]
    values = np.zeros(len(names))
    values[names.index("nv")], values[names.index("mel")], values[names.index("bcc")] = 0.90, 0.06, 0.04
    assert malignant_probability(card.labels, values) == pytest.approx(0.10)
    assert class_tier(card, values, names.index("nv")) is Tier.REVIEW
    values[names.index("mel")], values[names.index("df")] = 0.0, 0.06
    assert class_tier(card, values, names.index("nv")) is Tier.HIGH
    assert malignant_probability(card.labels, np.ones(len(names))) == 1.0
