"""Converts logits to calibrated probabilities. numpy only.

Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, 2017.
"""

import numpy as np


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(N, C) logits to (N, C) float64 probabilities."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exp = np.exp(scaled)
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def sigmoid(logits: np.ndarray, temperature: float = 1.0, log_odds: float = 0.0) -> np.ndarray:
    """Logits of any shape to float64 probabilities; ``log_odds`` of the class before the image was seen are added."""
    return np.asarray(1.0 / (1.0 + np.exp(-(logits.astype(np.float64) / temperature + log_odds))))


def class_values(logits: np.ndarray, activation: str, temperature: float) -> np.ndarray:
    """(N, C) logits to (N, C) float64: classes that exclude each other (``activation`` "softmax"), or each by itself ("sigmoid")."""
    return softmax(logits, temperature) if activation == "softmax" else sigmoid(logits, temperature)
