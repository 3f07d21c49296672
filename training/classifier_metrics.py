"""Metrics of a classifier.

Tables that are computed once use scikit-learn. The metrics that a bootstrap computes 500 times are written with numpy and scipy: for 1000
images scikit-learn takes 16 times as long for an AUC and 30 times as long for recalls, because it validates its input at every call.
Tests compare them with scikit-learn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from training.calibration import expected_calibration_error
from training.classifier_answers import ClassifierAnswers, Floats

SPECIFICITY = 0.90


def auc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of (N,) scores and (N,) bool, ties counted half; nan where one side is empty."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))


def sensitivity_at(scores: Floats, positive: NDArray[np.bool_], specificity: float = SPECIFICITY) -> float:
    """The highest sensitivity whose specificity is at least the given one; nan where one side is empty."""
    if not 0 < positive.sum() < len(positive):
        return float("nan")
    negative = np.sort(scores[~positive])[::-1]
    allowed = int((1.0 - specificity + 1e-12) * len(negative))  # false positives
    return 1.0 if allowed >= len(negative) else float((scores[positive] > negative[allowed]).mean())


def class_recalls(chosen: NDArray[np.intp], labels: NDArray[np.int64], classes: int) -> Floats:
    """(C,) recall of every class, nan for classes that do not occur; (N,) chosen and true indices."""
    counts = np.bincount(labels, minlength=classes)
    hits = np.bincount(labels[chosen == labels], minlength=classes)
    recalls: Floats = np.divide(hits, counts, out=np.full(classes, np.nan), where=counts > 0)
    return recalls


def summary_metrics(
    names: tuple[str, ...], malignant: NDArray[np.bool_], probabilities: Floats, labels: NDArray[np.int64]
) -> dict[str, float]:
    """Every metric that gets an interval; classes that do not occur are left out of the means."""
    chosen = probabilities.argmax(axis=1)
    recalls = class_recalls(chosen, labels, len(names))
    areas = [auc(probabilities[:, c], labels == c) for c in range(len(names))]
    found = {
        "balanced_accuracy": float(np.nanmean(recalls)),
        "macro_auc": float(np.nanmean(areas)) if not np.isnan(areas).all() else float("nan"),
        "accuracy": float((chosen == labels).mean()),
        "ece": expected_calibration_error(probabilities, labels),
    }
    if malignant.any() and not malignant.all():
        score = probabilities[:, malignant].sum(axis=1)
        found["malignancy_auc"] = auc(score, malignant[labels])
        found["malignancy_sensitivity_at_90_specificity"] = sensitivity_at(score, malignant[labels])
        for c in np.flatnonzero(malignant):
            found[f"{names[c]}_sensitivity_at_90_specificity"] = sensitivity_at(probabilities[:, c], labels == c)
    return found | {f"{name}_recall": float(recall) for name, recall in zip(names, recalls, strict=True) if not np.isnan(recall)}


def confusion(answers: ClassifierAnswers) -> NDArray[np.int64]:
    """(C, C) counts: rows are true classes, columns the most probable ones."""
    table: NDArray[np.int64] = confusion_matrix(answers.labels, answers.chosen, labels=range(len(answers.names)))
    return table


def per_class(chosen: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1, one-against-rest AUC and number of images of every class that occurs; rounded to 4 digits."""
    columns = precision_recall_fscore_support(labels, chosen, labels=range(len(names)), zero_division=0.0)
    return {
        name: {
            "precision": rounded(precision),
            "recall": rounded(recall),
            "f1": rounded(f1),
            "auc": rounded(auc(probabilities[:, c], labels == c)),
            "n": int(count),
        }
        for c, (name, precision, recall, f1, count) in enumerate(zip(names, *columns, strict=True))
        if count
    }


def mean_of(classes: dict[str, dict[str, float]], key: str) -> float:
    """The mean of one column of ``per_class`` without nan, rounded."""
    return rounded(np.nanmean([entry[key] for entry in classes.values()]))


def rounded(value: Any) -> float:
    """``value`` with the 4 digits that cards and pages show."""
    return round(float(value), 4)
