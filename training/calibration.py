"""Temperature scaling and the expected calibration error (Guo et al., On Calibration of Modern Neural Networks, 2017)."""

from collections.abc import Callable

import numpy as np

from models.classifier.calibration import softmax

BINS = 15


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean over N of -log p(label); (N, C) logits, (N,) labels."""
    chosen = softmax(logits, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least negative log-likelihood."""
    return minimise_temperature(lambda temperature: negative_log_likelihood(logits, labels, temperature))


def minimise_temperature(loss: Callable[[float], float]) -> float:
    """The temperature with the least ``loss``, by golden section over log T in [0.05, 20].

    Not scipy.optimize: another sequence of steps would end at other digits than those in the cards of the shipped weights.
    """
    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5.0) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(float(np.exp(left))) < loss(float(np.exp(right))):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean gap between the top probability and the accuracy, over `BINS` bins of equal width; (N, C), (N,)."""
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    total = 0.0
    for b in range(BINS):
        inside = place == b
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(total)
