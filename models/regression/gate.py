"""Compares two versions of a classifier on the same held-out images, and refuses one that is worse. numpy only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError
from models.regression.stored_answers import StoredAnswers, read_answers

RESAMPLES = 500
TOLERANCE = 0.01  # a smaller loss is within what a retraining with another seed changes
LEAST_IMAGES = 100  # in common; with fewer the intervals say nothing
LEAST_OF_GROUP = 30  # images of a subgroup that is shown
METRICS = ("balanced_accuracy", "macro_auc")


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric of two versions on the images that both have answered.

    ``low``, ``high``: the 95 % interval of ``after - before``; whole groups (lesions, patients) are redrawn. ``subgroup``: "" for all.
    """

    metric: str
    subgroup: str
    images: int
    before: float
    after: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """``after - before``."""
        return self.after - self.before

    @property
    def is_worse(self) -> bool:
        """Whether the new version loses more than the tolerance, or loses anything with certainty."""
        return self.difference < -TOLERANCE or self.high < 0


def compare_folders(before: Path, after: Path) -> tuple[MetricChange, ...]:
    """The changes from the version in one folder to that in the other; empty where one has no stored answers, or too few in common."""
    old, new = read_answers(before), read_answers(after)
    if old is None or new is None or old.names != new.names:
        return ()
    rows = {image: row for row, image in enumerate(new.images)}
    common = [(row, rows[image]) for row, image in enumerate(old.images) if image in rows]
    if len(common) < LEAST_IMAGES:
        return ()
    first, second = (np.array(index) for index in zip(*common, strict=True))
    return tuple(_changes(old, first, new.probabilities[second]))


def require_not_worse(before: Path, after: Path, name: str) -> None:
    """Check that the version in ``after`` is not worse on all images. Subgroups are shown and decide nothing: they are small.

    Raises
    ------
    ModelError
        It is worse; the message has the figures.
    """
    worse = [one for one in compare_folders(before, after) if one.is_worse and not one.subgroup]
    if worse:
        said = "; ".join(f"{_words(one.metric)} {one.before:.3f} to {one.after:.3f} ({one.low:+.3f} to {one.high:+.3f})" for one in worse)
        raise ModelError(
            f"{name} is worse than the active version on {worse[0].images} held-out images: {said}",
            hint=f"see `models compare`, run it as a shadow, or activate it with --even-if-worse; a loss up to {TOLERANCE} is tolerated",
        )


def _words(metric: str) -> str:
    return metric.replace("_", " ").replace("auc", "AUC")


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
        found.append(MetricChange(name, subgroup, len(labels), measure(before, labels), measure(after, labels), float(low), float(high)))
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
