"""Figures of a classifier from probabilities and labels, by numpy alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.calibration import expected_calibration_error, fit_temperature, softmax
from models.card import ModelCard
from models.dermoscopy.postprocess import decide
from training.bootstrap import Answers, auc, bootstrap

LEAST_N = 40  # images of a group: fewer tell nothing
GROUP_RESAMPLES = 200


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


def measure(card: ModelCard, probabilities: np.ndarray, labels: np.ndarray, coarse: np.ndarray) -> dict[str, Any]:
    """All figures of a set of images: (N, C) probabilities, (N,) labels, (N,) bool archive."""
    names = [label.name for label in card.labels]
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


def by_group(answers: Answers, groups: np.ndarray) -> dict[str, dict[str, float]]:
    """For every group of 40 images or more: means over the classes that occur there; ``low``, ``high``: balanced accuracy's, 95 %."""
    found = {}
    for group in sorted(set(groups.tolist())):
        inside = groups == group
        if inside.sum() >= LEAST_N:
            p, labels = answers.probabilities[inside], answers.labels[inside]
            part = replace(answers, probabilities=p, labels=labels, groups=answers.groups[inside])
            classes = per_class(p.argmax(1), labels, p, answers.names)
            _, low, high = bootstrap(part, resamples=GROUP_RESAMPLES)["balanced_accuracy"]
            found[str(group)] = {
                "balanced_accuracy": mean_of(classes, "recall"),
                "low": low,
                "high": high,
                "accuracy": rounded((p.argmax(1) == labels).mean()),
                "macro_auc": mean_of(classes, "auc"),
                "precision": mean_of(classes, "precision"),
                "f1": mean_of(classes, "f1"),
                "n": int(inside.sum()),
            }
    return found


def dice(drawn: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) overlap of (N, Y, X) bool outlines, 1 where both are empty."""
    both, sizes = (drawn & truth).sum((1, 2)), drawn.sum((1, 2)) + truth.sum((1, 2))
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


def mean_of(classes: dict[str, dict[str, float]], key: str) -> float:
    return rounded(np.nanmean([entry[key] for entry in classes.values()]))


def rounded(value: Any) -> float:
    return round(float(value), 4)
