"""Figures of logits and labels, with intervals: whole lesions are redrawn, because images of one lesion are alike."""

import hashlib
from typing import Any

import numpy as np

from models.calibrate import expected_calibration_error, fit_temperature, softmax
from models.dermoscopy.data import CLASSES
from models.intervals import RESAMPLES, Answers, auc, bootstrap, redrawn, sensitivity_at

MALIGNANT = np.array([name in ("akiec", "bcc", "mel") for name in CLASSES])
MELANOMA = CLASSES.index("mel")
SHOWN = ("balanced_accuracy", "macro_auc", "accuracy", "ece", "malignancy_auc", "mel_sensitivity_at_90_specificity")
OPERATING_POINTS = (0.90, 0.95)  # sensitivities


def half_of(groups: np.ndarray) -> np.ndarray:
    """(N,) bool: every lesion is in one of two halves, by its hash."""
    return np.array([hashlib.sha256(f"calibration:{group}".encode()).digest()[0] % 2 == 0 for group in groups.tolist()])


def cross_fitted(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(N, C) probabilities; each half of the lesions under the temperature of the other, so that no figure has seen its own fit."""
    half = half_of(groups)
    found = np.zeros(logits.shape)
    for flag in (False, True):
        found[half == flag] = softmax(logits[half == flag], fit_temperature(logits[half != flag], labels[half != flag]))
    return found


def held_out_figures(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, resamples: int = RESAMPLES) -> dict[str, Any]:
    """(N, C) logits, (N,) labels, (N,) lesions: every figure as [value, low, high], 95 %; ``temperature`` is of all images."""
    p = cross_fitted(logits, labels, groups)
    intervals = bootstrap(Answers(CLASSES, MALIGNANT, p, labels, groups, 0), resamples=resamples)
    return {
        "images": len(labels),
        "lesions": len(set(groups.tolist())),
        "temperature": round(fit_temperature(logits, labels), 4),
        **{name: list(intervals[name]) for name in SHOWN if name in intervals},
        "recall": {name: list(intervals[f"{name}_recall"]) for name in CLASSES if f"{name}_recall" in intervals},
        "melanoma_operating_points": operating_points(p[:, MELANOMA], labels == MELANOMA),
    }


def external_figures(
    logits: np.ndarray, labels: np.ndarray, groups: np.ndarray, temperature: float, *, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Of a collection with some of the classes: melanoma against the rest by p(mel), and accuracy among the classes that occur."""
    p = softmax(logits, temperature)
    there = np.unique(labels)

    def measure(rows: np.ndarray) -> dict[str, float]:
        score, melanoma = p[rows, MELANOMA], labels[rows] == MELANOMA
        best = there[p[rows][:, there].argmax(1)]
        return {
            "melanoma_auc": auc(score, melanoma),
            "melanoma_sensitivity_at_90_specificity": sensitivity_at(score, melanoma),
            "balanced_accuracy_of_7": float(np.mean([(p[rows].argmax(1) == c)[labels[rows] == c].mean() for c in there])),
            "balanced_accuracy_of_classes_there": float(np.mean([(best == c)[labels[rows] == c].mean() for c in there])),
            "ece": expected_calibration_error(p[rows], labels[rows]),
        }

    return {"images": len(labels), **{name: list(value) for name, value in redrawn(measure, groups, resamples=resamples).items()}}


def operating_points(scores: np.ndarray, positive: np.ndarray) -> dict[str, dict[str, float]]:
    """For each sensitivity the highest threshold that reaches it, and the specificity there; (N,) scores, (N,) bool."""
    found = {}
    for wanted in OPERATING_POINTS:
        ordered = np.sort(scores[positive])
        threshold = ordered[int(np.floor((1 - wanted) * len(ordered) + 1e-9))]
        found[f"sensitivity_{wanted:.2f}"] = {
            "threshold": round(float(threshold), 4),
            "sensitivity": round(float((scores[positive] >= threshold).mean()), 4),
            "specificity": round(float((scores[~positive] < threshold).mean()), 4),
        }
    return found


def difference(
    ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, resamples: int = RESAMPLES
) -> dict[str, list[float]]:
    """By how much the first of two (N, C) tables of probabilities is better on the same images: [value, low, high]."""

    def measure(rows: np.ndarray) -> dict[str, float]:
        found = [main_figures(p[rows], labels[rows]) for p in (ours, theirs)]
        return {name: found[0][name] - found[1][name] for name in found[0]}

    return {name: list(value) for name, value in redrawn(measure, groups, resamples=resamples).items()}


def main_figures(p: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Balanced accuracy, macro AUC and melanoma sensitivity at 90 % specificity, over the classes that occur."""
    there = np.unique(labels)
    return {
        "balanced_accuracy": float(np.mean([(p[labels == c].argmax(1) == c).mean() for c in there])),
        "macro_auc": float(np.nanmean([auc(p[:, c], labels == c) for c in there])),
        "melanoma_auc": auc(p[:, MELANOMA], labels == MELANOMA),
        "melanoma_sensitivity_at_90_specificity": sensitivity_at(p[:, MELANOMA], labels == MELANOMA),
    }
