"""Fits the probability of a mark to examined scans that the detector was not trained on, and measures its error."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from models.lung_nodule_ct.probability import TERMS, combined_score, features
from models.regression.stored_marks import limit_at, sort_marks
from training.lung_nodule_ct.real.measurement.examination import ExaminedCandidate, ExaminedScan
from training.lung_nodule_ct.real.measurement.real_metrics import calibration_error, stored_scan

NODULES_PER_SCAN = 1.5  # LIDC-IDRI: 1,186 nodules that three of four readers marked, in 888 scans, and what fewer of them marked
PENALTY = 10.0  # of sklearn: the larger, the weaker

Floats = npt.NDArray[np.float64]


def fit_probability(scans: Sequence[ExaminedScan]) -> dict[str, float]:
    """The coefficients for a card. A scan counts as if it held NODULES_PER_SCAN nodules, although more were pasted into it."""
    inputs, truth, weights = _marks(scans)
    fitted = LogisticRegression(C=PENALTY, max_iter=1000).fit(inputs, truth, sample_weight=weights)
    values = [float(fitted.intercept_[0]), *(float(value) for value in fitted.coef_[0])]
    return {term: round(value, 4) for term, value in zip(TERMS, values, strict=True)}


def crossed_probabilities(scans: Sequence[ExaminedScan]) -> tuple[Floats, Floats, Floats]:
    """Probability, truth and weight of each mark; the coefficients for a scan are fitted to the scans of all other volumes."""
    parts = []
    for scan in scans:
        thresholds = fit_probability([other for other in scans if other.name != scan.name])
        _, truth, weights = _marks([scan], _weight_of_a_hit(scans))
        own = [combined_score(one.first, one.second, one.diameter_mm, thresholds) for one in _usable(scan)]
        parts.append((np.array(own), truth, weights))
    return np.concatenate([p for p, _, _ in parts]), np.concatenate([t for _, t, _ in parts]), np.concatenate([w for _, _, w in parts])


def calibrate(scans: Sequence[ExaminedScan], allowed: float) -> dict[str, Any]:
    """Coefficients, the operating point at ``allowed`` false marks per scan, and the calibration error over crossed scans."""
    thresholds = fit_probability(scans)
    probability = probability_by(thresholds)
    limit = limit_at(sort_marks([stored_scan(scan, probability) for scan in scans]).false, allowed * len(scans))
    return {
        "thresholds": {**thresholds, "score": operating_point(limit)},
        "calibration_error": round(calibration_error(*crossed_probabilities(scans)), 3),
    }


def operating_point(limit: float) -> float:
    """The least number of three digits above ``limit``, the probability that a mark must exceed: a mark at the operating point counts."""
    return round((math.floor(limit * 1000 + 1e-6) + 1) / 1000, 3)


def probability_by(thresholds: Mapping[str, float]) -> Callable[[ExaminedCandidate], float]:
    """The probability of a candidate by the coefficients of a card."""
    return lambda one: combined_score(one.first, one.second, one.diameter_mm, thresholds)


def _weight_of_a_hit(scans: Sequence[ExaminedScan]) -> float:
    return NODULES_PER_SCAN * len(scans) / max(1, sum(len(scan.targets) for scan in scans))


def _usable(scan: ExaminedScan) -> list[ExaminedCandidate]:
    """The candidates that are right or wrong for certain."""
    return [one for one in scan.candidates if not one.uncertain]


def _marks(scans: Sequence[ExaminedScan], weight: float | None = None) -> tuple[Floats, Floats, Floats]:
    usable = [one for scan in scans for one in _usable(scan)]
    inputs = np.array([features(one.first, one.second, one.diameter_mm) for one in usable]).reshape(-1, len(TERMS) - 1)
    truth = np.array([float(one.target >= 0) for one in usable])
    return inputs, truth, np.where(truth > 0, weight or _weight_of_a_hit(scans), 1.0)
