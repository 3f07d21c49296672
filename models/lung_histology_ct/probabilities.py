"""Converts the networks' logits to four calibrated probabilities. numpy only.

Logits (N, 4): the three carcinomas against each other, then a carcinoma against none, without a prior. Each of the two questions has a
temperature of its own, and the shares of the classes among the images (``prior``) are added: where the network has learned nothing for
a question, its temperature is high and the probability becomes the share.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.classifier.calibration import sigmoid, softmax

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """``kind`` and ``presence``: temperatures; ``prior`` (4,): the shares of the classes, normal last."""

    kind: float
    presence: float
    prior: tuple[float, ...]


def probabilities(logits: npt.NDArray[np.floating], calibration: Calibration) -> Floats:
    """(N, 4) in the order of the classes; rows add up to 1. The last does not depend on the first three logits."""
    prior = np.asarray(calibration.prior, np.float64)
    kind = softmax(logits[:, :-1] / calibration.kind + np.log(prior[:-1]))
    presence = presence_probability(logits[:, -1], calibration.presence, prior)
    return np.concatenate([kind * presence, 1 - presence], axis=1)


def presence_probability(logit: npt.NDArray[np.floating], temperature: float, prior: Floats) -> Floats:
    """(N, 1) probability of a carcinoma."""
    return sigmoid(logit, temperature, float(np.log(prior[:-1].sum() / prior[-1])))[:, None]
