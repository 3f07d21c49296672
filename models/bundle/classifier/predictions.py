"""Builds the prediction of an imported classifier from the probability or score of every class."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.records import Finding, Prediction
from core.states import Outcome, Tier
from models.card import ModelCard
from models.classifier.predictions import abstention, by_label, class_finding, undecided_reason


def class_prediction(card: ModelCard, values: npt.NDArray[np.float64], *, notes: Sequence[str] = (), **image: Any) -> Prediction:
    """The prediction for one image or series.

    With a softmax the most probable class is the answer, and the model abstains below ``thresholds.score``. With sigmoids every class
    from ``thresholds.score`` on is an answer. A class whose label says ``finding = false`` (such as "normal") is never a finding.

    Parameters
    ----------
    values
        (C,) in the order of the card's labels; calibrated probabilities only where the card says so.
    image
        ``sop_instance_uid`` and ``frame`` of the image that a finding is on.
    """
    limit, several = card.thresholds["score"], card.network["activation"] == "sigmoid"
    order = [int(index) for index in np.argsort(-values, kind="stable")]
    answers = [index for index in (order if several else order[:1]) if values[index] >= limit]
    findings = tuple(_finding(card, values, index, image) for index in answers if card.labels[index].finding)
    probabilities = by_label(card, values) if card.network["calibrated"] else {}
    texts = [*(card.labels[index].advice for index in answers), *notes]
    if not card.network["calibrated"]:
        listed = ", ".join(f"{card.labels[index].name} {values[index]:.2f}" for index in order[:10])
        texts.insert(len(answers), f"Scores of the classes, not calibrated: {listed}.")
    if not answers and not several:
        reason = undecided_reason("highest", card.labels[order[0]].name, values[order[0]], limit)
        return abstention(card, reason, probabilities, texts)
    outcome = Outcome.FINDINGS if findings else Outcome.NO_FINDING
    return Prediction(outcome, findings, probabilities, looked_for=card.looked_for, notes=tuple(texts))


def _finding(card: ModelCard, values: npt.NDArray[np.float64], index: int, image: dict[str, Any]) -> Finding:
    label, value = card.labels[index], float(values[index])
    if not card.network["calibrated"]:
        tier = Tier.REVIEW if value >= card.thresholds["review_score"] else Tier.UNCERTAIN
        return Finding(label=label.name, code=label.code, score=round(value, 4), tier=tier, **image)
    return replace(class_finding(card, values, index), **image)
