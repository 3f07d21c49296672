"""How likely a region is a nodule: logistic regression of both stages' scores and the region's size, with the coefficients of the card."""

import math
from collections.abc import Mapping

TERMS = ("intercept", "first_slope", "second_slope", "size_slope")
LEAST = 1e-3  # scores are kept this far from 0 and 1


def is_calibrated(thresholds: Mapping[str, float]) -> bool:
    """Whether a card has the coefficients: cards before 0.4.0 have none, and their scores are no probabilities."""
    return all(term in thresholds for term in TERMS)


def combined_score(first: float, second: float, diameter_mm: float, thresholds: Mapping[str, float]) -> float:
    """The probability of a nodule, 0..1; of a card without coefficients the geometric mean of both scores by its ``second_weight``."""
    if not is_calibrated(thresholds):
        weight = thresholds["second_weight"]
        return float(first ** (1 - weight) * second**weight)
    values = (1.0, *features(first, second, diameter_mm))
    logit = sum(thresholds[term] * value for term, value in zip(TERMS, values, strict=True))
    return 1.0 / (1.0 + math.exp(-logit))


def features(first: float, second: float, diameter_mm: float) -> tuple[float, float, float]:
    """What the regression sees: logits of both scores, and the natural logarithm of the diameter over 6 mm."""
    return _logit(first), _logit(second), math.log(max(diameter_mm, 1.0) / 6.0)


def _logit(score: float) -> float:
    kept = min(max(score, LEAST), 1.0 - LEAST)
    return math.log(kept / (1.0 - kept))
