"""Converts probabilities to confidence tiers by the limits of a card. numpy only."""

from collections.abc import Sequence

import numpy as np

from core.states import Tier
from models.card import Label, ModelCard, Tiers


def confidence_tier(probability: float, limits: Tiers, *, malignant: bool = True, malignant_probability: float = 0.0) -> Tier:
    """The tier of an answer: high above ``limits.high``, review from ``limits.review``, else uncertain.

    A benign answer (``malignant`` False) is at most review while ``malignant_probability`` exceeds ``limits.malignant_limit``.
    """
    if probability > limits.high:
        lowered = not malignant and malignant_probability > limits.malignant_limit
        return Tier.REVIEW if lowered else Tier.HIGH
    return Tier.REVIEW if probability >= limits.review else Tier.UNCERTAIN


def class_tier(card: ModelCard, probabilities: np.ndarray, index: int) -> Tier:
    """The tier of the class ``index``, from (C,) calibrated probabilities in the order of the card's labels."""
    danger = malignant_probability(card.labels, probabilities)
    return confidence_tier(float(probabilities[index]), card.tiers, malignant=card.labels[index].malignant, malignant_probability=danger)


def malignant_probability(labels: Sequence[Label], probabilities: np.ndarray) -> float:
    """The sum of the malignant classes' probabilities, at most 1 (classes of a sigmoid do not exclude each other)."""
    return min(1.0, float(sum(value for label, value in zip(labels, probabilities, strict=True) if label.malignant)))
