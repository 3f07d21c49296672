"""Builds what the predictions of all classifiers have in common: findings of classes, named probabilities, and abstentions."""

from collections.abc import Mapping, Sequence

import numpy as np

from core.records import Finding, Prediction
from core.states import Outcome
from models.card import ModelCard
from models.classifier.tiers import class_tier


def class_finding(card: ModelCard, probabilities: np.ndarray, index: int) -> Finding:
    """The finding of the class ``index`` with its tier, from (C,) calibrated probabilities; the place on the images is not filled in."""
    label = card.labels[index]
    tier = class_tier(card, probabilities, index)
    return Finding(label=label.name, code=label.code, probability=float(probabilities[index]), tier=tier)


def by_label(card: ModelCard, values: np.ndarray) -> dict[str, float]:
    """(C,) values by the names of the card's labels."""
    return {label.name: float(value) for label, value in zip(card.labels, values, strict=True)}


def label_index(card: ModelCard, name: str) -> int:
    """The index of a label among the classes of the network."""
    return [label.name for label in card.labels].index(name)


def abstention(card: ModelCard, reason: str, probabilities: Mapping[str, float] | None = None, notes: Sequence[str] = ()) -> Prediction:
    """A prediction without an answer; probabilities are kept where there are any, so that a reader sees how undecided they are."""
    every, texts = probabilities or {}, tuple(notes)
    return Prediction(Outcome.ABSTAINED, probabilities=every, reason=reason, looked_for=card.looked_for, notes=texts)


def undecided_reason(kind: str, name: str, value: float, limit: float) -> str:
    """Why the class that is first in the order ("highest", "most probable") is no answer."""
    return f"undecided: the {kind} class, {name}, has {value:.2f}, {limit:.2f} is needed"
