"""Converts logits to calibrated probabilities, and probabilities to confidence tiers. numpy only.

Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, 2017.
"""

import numpy as np

from core.states import Tier
from models.card import Tiers


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(N, C) logits to (N, C) float64 probabilities."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exp = np.exp(scaled)
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def confidence_tier(probability: float, limits: Tiers, *, malignant: bool = True, malignant_probability: float = 0.0) -> Tier:
    """The tier of an answer: high above ``limits.high``, review from ``limits.review``, else uncertain.

    A benign answer (``malignant`` False) is at most review while ``malignant_probability`` exceeds ``limits.malignant_limit``.
    """
    if probability > limits.high:
        lowered = not malignant and malignant_probability > limits.malignant_limit
        return Tier.REVIEW if lowered else Tier.HIGH
    return Tier.REVIEW if probability >= limits.review else Tier.UNCERTAIN
