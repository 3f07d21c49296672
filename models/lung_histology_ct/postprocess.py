"""Builds the prediction from probabilities. The model abstains where no class is probable enough; normal is never a finding."""

from collections.abc import Mapping

import numpy as np

from core.codes import LUNG
from core.records import Finding, Prediction
from core.states import Outcome
from models.calibration import confidence_tier
from models.card import ModelCard


def abstention(card: ModelCard, reason: str, probabilities: Mapping[str, float] | None = None, notes: tuple[str, ...] = ()) -> Prediction:
    """A prediction without an answer; probabilities are kept where there are any, so that a reader sees how undecided they are."""
    return Prediction(Outcome.ABSTAINED, probabilities=probabilities or {}, reason=reason, looked_for=card.looked_for, notes=notes)


def histology_prediction(
    card: ModelCard, p: np.ndarray, notes: tuple[str, ...], *, sop_instance_uid: str = "", frame: int | None = None
) -> Prediction:
    """The prediction for one slice or series from (C,) calibrated probabilities in the order of the card's labels.

    A carcinoma needs the card's ``min_probability``; normal needs ``min_normal`` and becomes "no finding" with the sentence that it
    excludes nothing.
    """
    every = {label.name: float(value) for label, value in zip(card.labels, p, strict=True)}
    top = int(p.argmax())
    label, value = card.labels[top], float(p[top])
    limit = card.thresholds["min_probability" if label.malignant else "min_normal"]
    if value < limit:
        words = label.name.replace("_", " ")
        return abstention(card, f"undecided: the most probable class, {words}, has {value:.2f}, {limit:.2f} is needed", every, notes)
    texts = (label.advice, *notes)
    if not label.malignant:
        return Prediction(Outcome.NO_FINDING, (), every, looked_for=card.looked_for, notes=texts)
    finding = Finding(
        label=label.name,
        code=label.code,
        probability=value,
        tier=confidence_tier(value, card.tiers),
        sop_instance_uid=sop_instance_uid,
        frame=frame,
        site=LUNG,
    )
    return Prediction(Outcome.FINDINGS, (finding,), every, looked_for=card.looked_for, notes=texts)
