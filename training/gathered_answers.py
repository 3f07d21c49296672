"""Gathers the answers for held-out images, with what their headers say of the patient, to be stored beside the weights."""

import numpy as np

from core.records import Prediction
from imaging.photograph.read import Photograph
from models.regression.stored_answers import StoredAnswers, hashed
from training.held_out import HeldOutImage


class GatheredAnswers:
    """Answers in the order in which they came. ``names``: the labels of the model."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._rows: list[tuple[HeldOutImage, list[float]]] = []

    def add(self, image: HeldOutImage, prediction: Prediction) -> None:
        """Add an answer; one without probabilities is left out."""
        if prediction.probabilities:
            self._rows.append((image, [prediction.probabilities[name] for name in self._names]))

    def answers(self) -> StoredAnswers:
        """Everything that was added. An image without an identifier is known by the hash of its pixels."""
        images = [image for image, _ in self._rows]
        return StoredAnswers(
            names=self._names,
            probabilities=np.array([values for _, values in self._rows], np.float32).reshape(len(images), len(self._names)),
            labels=np.array([self._names.index(image.label) for image in images], np.int64),
            images=tuple(hashed(image.photograph.sop_instance_uid or image.photograph.rgb.tobytes().hex()) for image in images),
            groups=tuple(hashed(image.group) for image in images),
            attributes={
                "sex": tuple(image.photograph.sex for image in images),
                "age": tuple(_decades(image.photograph) for image in images),
                "site": tuple(image.photograph.site for image in images),
            },
        )


def _decades(photograph: Photograph) -> str:
    """The age in bands that have enough images each."""
    if photograph.age_years is None:
        return ""
    return "under 40" if photograph.age_years < 40 else "40 to 59" if photograph.age_years < 60 else "60 and more"
