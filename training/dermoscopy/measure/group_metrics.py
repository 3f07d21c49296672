"""Metrics by tier, archive and group of patients, and the cross-fitted calibration error."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from models.card import ModelCard
from models.classifier.calibration import softmax
from models.dermoscopy.postprocess import top_class
from training.bootstrap import bootstrap
from training.calibration import expected_calibration_error, fit_temperature
from training.classifier_answers import ClassifierAnswers
from training.classifier_metrics import auc, class_recalls, mean_of, per_class, rounded

LEAST_N = 40  # images of a group: fewer tell nothing
GROUP_RESAMPLES = 200


def image_metrics(card: ModelCard, probabilities: np.ndarray, labels: np.ndarray, coarse: np.ndarray) -> dict[str, Any]:
    """All metrics of a set of images: (N, C) probabilities, (N,) labels, (N,) bool whether the image is of the coarse archive."""
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


def tier_table(card: ModelCard, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float]]:
    """For every tier: its share of the images and the accuracy of its top class."""
    tiers = np.array([top_class(card, row).tier.value for row in probabilities])
    right = probabilities.argmax(axis=1) == labels
    found = {}
    for name in ("high", "review", "uncertain"):
        chosen = tiers == name
        found[name] = {"share": rounded(chosen.mean()), "accuracy": rounded(right[chosen].mean()) if chosen.any() else float("nan")}
    return found


def metrics_by_group(answers: ClassifierAnswers, groups: np.ndarray) -> dict[str, dict[str, float]]:
    """For every group of 40 images or more: means over the classes that occur; ``low``, ``high``: 95 % interval of balanced accuracy."""
    found = {}
    for group in sorted(set(groups.tolist())):
        inside = groups == group
        if inside.sum() >= LEAST_N:
            p, labels = answers.probabilities[inside], answers.labels[inside]
            part = replace(answers, probabilities=p, labels=labels, groups=answers.groups[inside])
            classes = per_class(part.chosen, labels, p, answers.names)
            _, low, high = balanced_accuracy_interval(part)
            found[str(group)] = {
                "balanced_accuracy": mean_of(classes, "recall"),
                "low": low,
                "high": high,
                "accuracy": rounded((part.chosen == labels).mean()),
                "macro_auc": mean_of(classes, "auc"),
                "precision": mean_of(classes, "precision"),
                "f1": mean_of(classes, "f1"),
                "n": int(inside.sum()),
            }
    return found


def balanced_accuracy_interval(answers: ClassifierAnswers) -> tuple[float, float, float]:
    """Balanced accuracy with its 95 % interval."""
    chosen, labels, classes = answers.chosen, answers.labels, len(answers.names)

    def measure(rows: np.ndarray) -> dict[str, float]:
        return {"balanced_accuracy": float(np.nanmean(class_recalls(chosen[rows], labels[rows], classes)))}

    return bootstrap(measure, answers.groups, resamples=GROUP_RESAMPLES)["balanced_accuracy"]


def cross_fitted_ece(logits: np.ndarray, labels: np.ndarray, half: np.ndarray) -> float:
    """Calibration error where each half (bool (N,)) is scaled by the temperature fitted on the other half."""
    parts = np.zeros_like(logits, dtype=np.float64)
    for flag in (False, True):
        parts[half == flag] = softmax(logits[half == flag], fit_temperature(logits[half != flag], labels[half != flag]))
    return expected_calibration_error(parts, labels)


def half_of_lesions(lesions: list[str]) -> np.ndarray:
    """(N,) bool: whether the lesion belongs to the first half, chosen by hash."""
    return np.array([hashlib.sha256(f"calibration:{lesion}".encode()).digest()[0] % 2 == 0 for lesion in lesions])
