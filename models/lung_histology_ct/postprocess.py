"""Builds the prediction from probabilities. The model abstains where no class is probable enough; normal is never a finding."""

from dataclasses import replace

import numpy as np

from core.concepts.codes import LUNG
from core.records import Prediction
from core.states import Outcome
from models.card import ModelCard
from models.classifier.predictions import abstention, by_label, class_finding, undecided_reason


def histology_prediction(
    card: ModelCard, p: np.ndarray, notes: tuple[str, ...], *, sop_instance_uid: str = "", frame: int | None = None
) -> Prediction:
    """The prediction for one slice or series from (C,) calibrated probabilities in the order of the card's labels.

    A carcinoma needs the card's ``min_probability``; normal needs ``min_normal`` and becomes "no finding" with the sentence that it
    excludes nothing.
    """
    every, top = by_label(card, p), int(p.argmax())
    label, value = card.labels[top], float(p[top])
    limit = card.thresholds["min_probability" if label.malignant else "min_normal"]
    if value < limit:
        return abstention(card, undecided_reason("most probable", label.name.replace("_", " "), value, limit), every, notes)
    texts = (label.advice, *notes)
    if not label.malignant:
        return Prediction(Outcome.NO_FINDING, (), every, looked_for=card.looked_for, notes=texts)
    finding = replace(class_finding(card, p, top), sop_instance_uid=sop_instance_uid, frame=frame, site=LUNG)
    return Prediction(Outcome.FINDINGS, (finding,), every, looked_for=card.looked_for, notes=texts)
