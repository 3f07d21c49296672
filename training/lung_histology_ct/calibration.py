"""Fits the card's calibration: both temperatures, and the shares of the classes."""

import numpy as np
import numpy.typing as npt

from models.classifier.calibration import softmax
from models.lung_histology_ct.probabilities import Calibration, presence_probability, probabilities
from training.calibration import expected_calibration_error, minimise_temperature
from training.lung_histology_ct.data import CLASSES, FOLDS, SliceImages


def calibrate(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], prior: tuple[float, ...]) -> Calibration:
    """Both temperatures with the least negative log-likelihood on images that the networks were not trained on."""
    shares, carcinoma = np.asarray(prior, np.float64), labels < len(prior) - 1

    def kind_loss(temperature: float) -> float:
        p = softmax(logits[carcinoma, :-1] / temperature + np.log(shares[:-1]))
        return float(-np.log(np.maximum(p[np.arange(len(p)), labels[carcinoma]], 1e-12)).mean())

    def presence_loss(temperature: float) -> float:
        presence = presence_probability(logits[:, -1], temperature, shares)[:, 0]
        return float(-np.log(np.maximum(np.where(carcinoma, presence, 1 - presence), 1e-12)).mean())

    return Calibration(minimise_temperature(kind_loss), minimise_temperature(presence_loss), prior)


def class_shares(labels: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """The share of every class, with one image added to each class so that no share is 0."""
    counts = np.bincount(labels, minlength=len(CLASSES)) + 1
    return tuple(round(float(count / counts.sum()), 6) for count in counts)


def cross_fitted_ece(logits: npt.NDArray[np.float64], slices: SliceImages) -> float:
    """Calibration error where each fold is calibrated on the other folds."""
    p = np.zeros_like(logits)
    for fold in range(FOLDS):
        here = slices.folds == fold
        others = slices.labels[~here]
        p[here] = probabilities(logits[here], calibrate(logits[~here], others, class_shares(others)))
    return expected_calibration_error(p, slices.labels)
