"""Figures of a classifier with bootstrap intervals: whole groups (lesions) are drawn, because images of one lesion are alike.

numpy only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration import expected_calibration_error

RESAMPLES = 500
SPECIFICITY = 0.90
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a classifier said of images whose truth is known.

    Attributes
    ----------
    names
        C labels, in the order of the columns.
    malignant
        (C,) bool.
    probabilities
        (N, C) float64, calibrated.
    labels
        (N,) index of the true column.
    groups
        (N,) text: images of one group are never treated as independent.
    abstained
        How many images besides these the model gave no answer for.
    """

    names: tuple[str, ...]
    malignant: NDArray[np.bool_]
    probabilities: Floats
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    abstained: int


def auc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties counted half; (N,), (N,); nan where one side is empty."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    _, inverse, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(sizes) - (sizes - 1) / 2)[inverse]
    return float((rank[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))


def roc(scores: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """False and true positive rates at every distinct score, from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[last]
    rest = last + 1 - hits
    return np.append(0.0, rest / max(1, (~positive).sum())), np.append(0.0, hits / max(1, positive.sum()))


def sensitivity_at(scores: Floats, positive: NDArray[np.bool_], specificity: float = SPECIFICITY) -> float:
    """The best sensitivity whose specificity is at least the given one; nan where one side is empty."""
    if not 0 < positive.sum() < len(positive):
        return float("nan")
    false, true = roc(scores, positive)
    return float(true[false <= 1.0 - specificity + 1e-12].max())


def confusion(answers: Answers) -> NDArray[np.int64]:
    """(C, C) counts: rows the truth, columns the most probable class."""
    table = np.zeros((len(answers.names), len(answers.names)), np.int64)
    np.add.at(table, (answers.labels, answers.probabilities.argmax(axis=1)), 1)
    return table


def figures(names: tuple[str, ...], malignant: NDArray[np.bool_], probabilities: Floats, labels: NDArray[np.int64]) -> dict[str, float]:
    """Every figure that gets an interval; classes that do not occur are left out of the means."""
    chosen = probabilities.argmax(axis=1)
    recall = {name: float((chosen[labels == c] == c).mean()) for c, name in enumerate(names) if (labels == c).any()}
    areas = [auc(probabilities[:, c], labels == c) for c in range(len(names))]
    found = {
        "balanced_accuracy": float(np.mean(list(recall.values()))),
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
    return found | {f"{name}_recall": value for name, value in recall.items()}


def bootstrap(answers: Answers, *, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, tuple[float, float, float]]:
    """Every figure with its 95 % percentile interval (value, low, high); figures that cannot be told are left out."""
    measure: Callable[[NDArray[np.intp]], dict[str, float]] = lambda rows: figures(  # noqa: E731
        answers.names, answers.malignant, answers.probabilities[rows], answers.labels[rows]
    )
    return redrawn(measure, answers.groups, seed=seed, resamples=resamples)


def redrawn(
    measure: Callable[[NDArray[np.intp]], dict[str, float]], groups: NDArray[np.str_], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, tuple[float, float, float]]:
    """What ``measure`` says of rows, given by their places, with 95 % percentile intervals (value, low, high).

    Groups, (N,) text, are drawn with replacement; the same seed gives the same intervals. Left out is what cannot be told.
    """
    whole = measure(np.arange(len(groups)))
    _, inverse = np.unique(groups, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in whole}
    for _ in range(resamples):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        for name, value in measure(rows).items():
            drawn.setdefault(name, []).append(value)
    intervals = {}
    for name, value in whole.items():
        known = np.array([one for one in drawn[name] if not np.isnan(one)])
        if not np.isnan(value) and len(known):
            low, high = np.percentile(known, (2.5, 97.5))
            intervals[name] = (round(value, 4), round(float(low), 4), round(float(high), 4))
    return intervals
