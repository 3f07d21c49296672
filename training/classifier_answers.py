"""The answers of a classifier for images with known labels, which all metrics and plots of classifiers are computed from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassifierAnswers:
    """Probabilities and true labels of N images.

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
        (N,) text: images of one group (lesion, patient) are never treated as independent.
    abstained
        Number of further images for which the model gave no answer.
    """

    names: tuple[str, ...]
    malignant: NDArray[np.bool_]
    probabilities: Floats
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    abstained: int

    @property
    def chosen(self) -> NDArray[np.intp]:
        """(N,) index of the most probable column."""
        chosen: NDArray[np.intp] = self.probabilities.argmax(axis=1)
        return chosen
