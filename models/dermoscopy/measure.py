"""What is said of the classifier: figures from logits and labels, by numpy alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.calibrate import expected_calibration_error, fit_temperature, softmax
from models.card import ModelCard
from models.dermoscopy.postprocess import decide


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half; (N,) scores, (N,) bool; nan where one side is empty."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    _, inverse, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(sizes) - (sizes - 1) / 2)[inverse]
    return float((rank[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))


def per_class(chosen: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1, one-against-rest AUC and n of every class that occurs."""
    table = {}
    for c, name in enumerate(names):
        hit = int(((chosen == c) & (labels == c)).sum())
        said, there = int((chosen == c).sum()), int((labels == c).sum())
        if there == 0:
            continue
        table[name] = {
            "precision": rounded(hit / said if said else 0.0),
            "recall": rounded(hit / there),
            "f1": rounded(2 * hit / (said + there)),
            "auc": rounded(auc(probabilities[:, c], labels == c)),
            "n": there,
        }
    return table


def cross_fitted_ece(logits: np.ndarray, labels: np.ndarray, half: np.ndarray) -> float:
    """Calibration error of each half under the temperature of the other: the figure has not seen its own fit."""
    parts = np.zeros_like(logits, dtype=np.float64)
    for flag in (False, True):
        parts[half == flag] = softmax(logits[half == flag], fit_temperature(logits[half != flag], labels[half != flag]))
    return expected_calibration_error(parts, labels)


def tier_table(card: ModelCard, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float]]:
    """For every tier: its share of the images and how often its top class is right."""
    tiers = np.array([decide(card, row).tier.value for row in probabilities])
    right = probabilities.argmax(axis=1) == labels
    found = {}
    for name in ("high", "review", "uncertain"):
        chosen = tiers == name
        found[name] = {"share": rounded(chosen.mean()), "accuracy": rounded(right[chosen].mean()) if chosen.any() else float("nan")}
    return found


def measure(card: ModelCard, logits: np.ndarray, labels: np.ndarray, coarse: np.ndarray) -> dict[str, Any]:
    """All figures of a set of images under the card's temperature: (N, C) logits, (N,) labels, (N,) bool archive."""
    names = [label.name for label in card.labels]
    probabilities = softmax(logits, card.temperature)
    chosen = probabilities.argmax(axis=1)
    classes = per_class(chosen, labels, probabilities, names)
    malignant = np.array([label.malignant for label in card.labels])
    archives = {}
    for title, flag in (("fine", False), ("coarse", True)):
        inside = coarse == flag
        if inside.any():
            archives[title] = mean_of(per_class(chosen[inside], labels[inside], probabilities[inside], names), "recall")
    return {
        "n": len(labels),
        "balanced_accuracy": mean_of(classes, "recall"),
        "macro_auc": mean_of(classes, "auc"),
        "macro_f1": mean_of(classes, "f1"),
        "accuracy": rounded((chosen == labels).mean()),
        "ece": rounded(expected_calibration_error(probabilities, labels)),
        "malignancy_auc": rounded(auc(probabilities[:, malignant].sum(axis=1), malignant[labels])),
        "balanced_accuracy_by_archive": archives,
        "tiers": tier_table(card, probabilities, labels),
        "classes": classes,
    }


def by_group(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Balanced accuracy over the classes that occur, accuracy and n; for every group of 40 or more."""
    found = {}
    for group in sorted(set(groups)):
        inside = groups == group
        if inside.sum() >= 40:
            classes = per_class(probabilities[inside].argmax(1), labels[inside], probabilities[inside], names)
            right = (probabilities[inside].argmax(1) == labels[inside]).mean()
            found[str(group)] = {"balanced_accuracy": mean_of(classes, "recall"), "accuracy": rounded(right), "n": int(inside.sum())}
    return found


def dice(drawn: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) overlap of (N, Y, X) bool outlines, 1 where both are empty."""
    both, sizes = (drawn & truth).sum((1, 2)), drawn.sum((1, 2)) + truth.sum((1, 2))
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


def mean_of(classes: dict[str, dict[str, float]], key: str) -> float:
    return rounded(float(np.mean([entry[key] for entry in classes.values()])))


def rounded(value: Any) -> float:
    return round(float(value), 4)
