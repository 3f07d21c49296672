"""Runs a shipped classifier on the images that its training held out, through the code path that serves.

``predict`` is called, not the network: refusals, calibration and the facts of the header are part of what is measured.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from core.errors import ModelError
from core.records import Prediction
from imaging.photograph.read import Photograph
from models.runtime import Model
from training.classifier_answers import ClassifierAnswers

BATCH = 64


@dataclass(frozen=True, slots=True)
class HeldOutImage:
    """One image with its true label and the group (lesion, patient) that it belongs to."""

    photograph: Photograph
    label: str
    group: str


# The held-out images of a model in batches, each with the model to run on them (one network of an ensemble, or the model itself).
Batches = Iterator[tuple[Model, list[HeldOutImage]]]


def held_out_answers(
    model: Model,
    batches: Batches,
    *,
    progress: Callable[[str], None] = print,
    on_answer: Callable[[HeldOutImage, Prediction], None] = lambda image, prediction: None,
) -> ClassifierAnswers:
    """Run every batch and collect the probabilities.

    ``batches`` comes from the ``held_out`` module of the model's training package. ``on_answer`` is called with each image and its
    prediction. Probabilities count also where the model abstained because they were too undecided.

    Raises
    ------
    ModelError
        No image got an answer.
    """
    card = model.card
    names = tuple(label.name for label in card.labels)
    rows: list[list[float]] = []
    labels: list[int] = []
    groups: list[str] = []
    abstained = 0
    for network, batch in batches:
        for image, prediction in zip(batch, network.predict([image.photograph for image in batch]), strict=True):
            on_answer(image, prediction)
            if not prediction.probabilities:
                abstained += 1
                continue
            rows.append([prediction.probabilities[name] for name in names])
            labels.append(names.index(image.label))
            groups.append(image.group)
        progress(f"{len(rows) + abstained} held-out images, {abstained} without an answer")
    if not rows:
        raise ModelError(f"{card.name} answered none of its held-out images", hint="check that --data is the data set of this model")
    malignant = np.array([label.malignant for label in card.labels])
    return ClassifierAnswers(names, malignant, np.array(rows), np.array(labels), np.array(groups), abstained)
