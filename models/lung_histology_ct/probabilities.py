"""From the networks' logits to four calibrated probabilities. numpy only.

Logits (N, 4): of the three carcinomas against each other, then of a carcinoma against none; all weigh alike. Each of the two
questions has a temperature of its own and the shares of the classes (``prior``) as they were among the images: where a question
has taught nothing, its temperature grows and the answer becomes the share.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.calibration import best_temperature, softmax

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """``kind`` and ``presence``: temperatures; ``prior`` (4,) the shares of the classes, normal last."""

    kind: float
    presence: float
    prior: tuple[float, ...]


def probabilities(logits: npt.NDArray[np.floating], how: Calibration) -> Floats:
    """(N, 4) in the order of the classes, rows add up to 1. The last does not depend on the first three logits."""
    prior = np.asarray(how.prior, np.float64)
    kind = softmax(logits[:, :-1] / how.kind + np.log(prior[:-1]))
    there = there_of(logits[:, -1], how.presence, prior)
    return np.concatenate([kind * there, 1 - there], axis=1)


def there_of(logit: npt.NDArray[np.floating], temperature: float, prior: Floats) -> Floats:
    """(N, 1) probability of a carcinoma."""
    odds = np.log(prior[:-1].sum() / prior[-1])
    return np.asarray(1 / (1 + np.exp(-(logit.astype(np.float64) / temperature + odds))))[:, None]


def calibrate(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], prior: tuple[float, ...]) -> Calibration:
    """Both temperatures of least negative log-likelihood on images that the networks were not trained on."""
    shares, ill = np.asarray(prior, np.float64), labels < len(prior) - 1

    def of_kind(temperature: float) -> float:
        p = softmax(logits[ill, :-1] / temperature + np.log(shares[:-1]))
        return float(-np.log(np.maximum(p[np.arange(len(p)), labels[ill]], 1e-12)).mean())

    def of_presence(temperature: float) -> float:
        there = there_of(logits[:, -1], temperature, shares)[:, 0]
        return float(-np.log(np.maximum(np.where(ill, there, 1 - there), 1e-12)).mean())

    return Calibration(best_temperature(of_kind), best_temperature(of_presence), prior)
