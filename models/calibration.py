"""Scores to probabilities, probabilities to tiers, and how far both can be trusted.

Temperature scaling and the expected calibration error: Guo et al., On Calibration of Modern Neural Networks, 2017.
numpy only.
"""

from collections.abc import Callable

import numpy as np

from core.states import Tier
from models.card import Tiers


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(N, C) logits to (N, C) float64 probabilities."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exp = np.exp(scaled)
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean over N of -log p(label); (N, C) logits, (N,) labels."""
    chosen = softmax(logits, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least negative log-likelihood."""
    return best_temperature(lambda temperature: negative_log_likelihood(logits, labels, temperature))


def best_temperature(loss: Callable[[float], float]) -> float:
    """The temperature of least ``loss``, by golden section over log T in [0.05, 20]; deterministic."""
    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5.0) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(float(np.exp(left))) < loss(float(np.exp(right))):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Mean gap between the top probability and how often it is right, over equally wide bins; (N, C), (N,)."""
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(total)


def tier(probability: float, limits: Tiers, *, malignant: bool = True, malignant_probability: float = 0.0) -> Tier:
    """How much weight a reader may give ``probability``.

    high above ``limits.high``, review from ``limits.review``, uncertain below. A benign answer (``malignant`` False)
    is at most review while ``malignant_probability`` exceeds ``limits.malignant_limit``.
    """
    if probability > limits.high:
        held_back = not malignant and malignant_probability > limits.malignant_limit
        return Tier.REVIEW if held_back else Tier.HIGH
    return Tier.REVIEW if probability >= limits.review else Tier.UNCERTAIN
