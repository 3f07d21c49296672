"""Compares the stored answers of two versions of a classifier for the same held-out images. numpy only."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.regression.change import MetricChange
from models.regression.stored_answers import StoredAnswers

RESAMPLES = 500
TOLERANCE = 0.01
LEAST_IMAGES = 100  # in common; with fewer the intervals say nothing
LEAST_OF_GROUP = 30  # images of a subgroup that is shown
METRICS = ("balanced_accuracy", "macro_auc")


def compare_answers(old: StoredAnswers, new: StoredAnswers) -> tuple[MetricChange, ...]:
    """The changes of accuracy and AUC, over all and by subgroup; empty where too few images are in common.

    Whole groups (lesions, patients) are redrawn for the intervals.
    """
    if old.names != new.names:
        return ()
    rows = {image: row for row, image in enumerate(new.images)}
    common = [(row, rows[image]) for row, image in enumerate(old.images) if image in rows]
    if len(common) < LEAST_IMAGES:
        return ()
    first, second = (np.array(index) for index in zip(*common, strict=True))
    return tuple(_changes(old, first, new.probabilities[second]))


def _changes(old: StoredAnswers, first: NDArray[np.intp], new: NDArray[np.float32]) -> list[MetricChange]:
    labels, groups, before = old.labels[first], np.array(old.groups)[first], old.probabilities[first]
    subsets: list[tuple[str, NDArray[np.bool_]]] = [("", np.ones(len(labels), bool))]
    for attribute, texts in old.attributes.items():
        values = np.array(texts)[first]
        subsets += [(f"{attribute} {value}", values == value) for value in sorted(set(values.tolist())) if value]
    found = []
    for subgroup, chosen in subsets:
        if chosen.sum() >= LEAST_OF_GROUP and len(set(labels[chosen].tolist())) > 1:
            found += _metric_changes(subgroup, before[chosen], new[chosen], labels[chosen], groups[chosen])
    return found


def _metric_changes(
    subgroup: str, before: NDArray[np.float32], after: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.str_]
) -> list[MetricChange]:
    _, inverse = np.unique(groups, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    rng = np.random.default_rng(0)
    draws = [np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))]) for _ in range(RESAMPLES)]
    found = []
    for name in METRICS:
        measure = MEASURES[name]
        drawn = np.array([measure(after[rows], labels[rows]) - measure(before[rows], labels[rows]) for rows in draws])
        low, high = np.nanpercentile(drawn, (2.5, 97.5))
        found.append(
            MetricChange(name, subgroup, len(labels), measure(before, labels), measure(after, labels), float(low), float(high), TOLERANCE)
        )
    return found


def balanced_accuracy(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The mean recall of the classes that occur; (N, C) and (N,)."""
    hit = probabilities.argmax(axis=1) == labels
    counts = np.bincount(labels)
    return float(np.mean(np.bincount(labels, weights=hit)[counts > 0] / counts[counts > 0]))


def macro_auc(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The mean area under the ROC curve of the classes that occur, ties counted half; nan where only one class occurs."""
    areas = []
    for label in np.unique(labels):
        positive, scores = labels == label, probabilities[:, label]
        count = int(positive.sum())
        if count < len(labels):
            _, place, number = np.unique(scores, return_inverse=True, return_counts=True)
            ranks = (np.cumsum(number) - (number - 1) / 2)[place]  # the mean rank of equal scores
            areas.append((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(labels) - count)))
    return float(np.mean(areas)) if areas else float("nan")


MEASURES: Mapping[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {"balanced_accuracy": balanced_accuracy, "macro_auc": macro_auc}
