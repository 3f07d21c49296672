"""Confidence intervals by bootstrap: whole groups (lesions) are redrawn, because images of one group are alike."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.classifier_answers import ClassifierAnswers
from training.classifier_metrics import summary_metrics

RESAMPLES = 500
Interval = tuple[float, float, float]  # value, low, high


def bootstrap_metrics(answers: ClassifierAnswers, *, seed: int = 0, resamples: int | None = None) -> dict[str, Interval]:
    """Every metric of ``summary_metrics`` with its 95 % percentile interval; metrics that are nan are left out."""

    def measure(rows: NDArray[np.intp]) -> dict[str, float]:
        return summary_metrics(answers.names, answers.malignant, answers.probabilities[rows], answers.labels[rows])

    return bootstrap(measure, answers.groups, seed=seed, resamples=resamples)


def bootstrap(
    measure: Callable[[NDArray[np.intp]], dict[str, float]], groups: NDArray[np.str_], *, seed: int = 0, resamples: int | None = None
) -> dict[str, Interval]:
    """The metrics that ``measure`` computes of rows (by their indices), with 95 % percentile intervals.

    Groups, (N,) text, are drawn with replacement, ``resamples`` times (RESAMPLES by default); the same seed gives the same intervals.
    Metrics that are nan are left out.
    (scipy.stats.bootstrap draws single rows, not groups.)
    """
    whole = measure(np.arange(len(groups)))
    _, inverse = np.unique(groups, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in whole}
    for _ in range(RESAMPLES if resamples is None else resamples):
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
