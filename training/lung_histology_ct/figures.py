"""The card's figures: every slice is judged by the network that saw nothing of its cluster."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.states import Outcome
from imaging.photograph.read import Photograph
from models.calibration import expected_calibration_error
from models.lung_histology_ct.model import Looked, Model
from models.lung_histology_ct.not_a_slice import strange
from models.lung_histology_ct.probabilities import calibrate, probabilities
from training import drawn_pictures
from training.bootstrap import Answers, auc, bootstrap, confusion
from training.lung_histology_ct.data import ALIKE, CLASSES, FOLDS, Slices
from training.lung_histology_ct.shortcuts import NORMAL, proofs

FIRST = 1000  # of the seeds: the limits were set on drawings before it
STRANGERS = ("document", "noise", "plain_skin", "texture")
HOW = (
    f"685 screenshots, without exact copies and without those in which the window cuts the lungs off; {FOLDS} folds over clusters of "
    f"like chests (correlation above {ALIKE} in any mirror image, chained, within a class: a guess at patients), each slice judged by "
    "the network that saw nothing of its cluster; temperatures fitted on these very answers, ece_cross_fitted on those of the other "
    "folds; intervals: 95 %, clusters redrawn; answered: what is above the card's limits; shortcuts: how well normal is told from "
    "carcinoma, chance is an area of 0.5; nothing external was measured"
)
WITH_INTERVALS = ("balanced_accuracy", "macro_auc", "accuracy", "ece", "malignancy_auc")


def by_fold(model: Model, planes: npt.NDArray[np.uint8], folds: npt.NDArray[np.int64]) -> Looked:
    """Every slice through the network that was trained without its fold."""
    logits, distance = np.zeros((len(planes), len(CLASSES))), np.zeros(len(planes))
    for fold in range(FOLDS):
        chosen = folds == fold
        looked = model.alone(fold).look(planes[chosen])
        logits[chosen], distance[chosen] = looked.logits, looked.distance
    return Looked(logits, distance)


def figures(model: Model, slices: Slices, count: int, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything measured, with ``count`` strangers of every kind."""
    looked = by_fold(model, slices.planes, slices.folds)
    p = probabilities(looked.logits, model.calibration)
    malignant = np.array([label.malignant for label in model.card.labels])
    groups = np.array([str(cluster) for cluster in slices.clusters])
    answers = Answers(CLASSES, malignant, p, slices.labels, groups, 0)
    known = bootstrap(answers)
    progress("asking for shortcuts")
    limits = model.card.thresholds
    table = confusion(answers)
    odd = np.array([bool(strange(picture, limits)) for picture in slices.grey])
    chosen = slices.labels != NORMAL
    among = p[chosen, :NORMAL] / p[chosen, :NORMAL].sum(axis=1, keepdims=True)
    return {
        "measured": HOW,
        "n": len(slices.labels),
        "clusters": len(np.unique(slices.clusters)),
        **{key: known[key][0] for key in ("balanced_accuracy", "macro_auc", "accuracy", "ece") if key in known},
        "ece_cross_fitted": round(cross_fitted_ece(looked.logits, slices), 4),
        "answered": answered(p, odd | (looked.distance > limits["max_distance"]), slices.labels, limits),
        "images": {name: int((slices.labels == c).sum()) for c, name in enumerate(CLASSES)},
        "clusters_of": {name: len(np.unique(slices.clusters[slices.labels == c])) for c, name in enumerate(CLASSES)},
        "classes": {
            name: {
                "recall": round(float(table[c, c] / max(1, table[c].sum())), 4),
                "precision": round(float(table[c, c] / max(1, table[:, c].sum())), 4),
                "auc": round(auc(p[:, c], slices.labels == c), 4),
                "n": int(table[c].sum()),
            }
            for c, name in enumerate(CLASSES)
        },
        "auc_among_carcinomas": {CLASSES[c]: round(auc(among[:, c], slices.labels[chosen] == c), 4) for c in range(NORMAL)},
        "intervals": {key: list(known[key][1:]) for key in WITH_INTERVALS if key in known},
        "shortcuts": proofs(slices, limits, lambda planes, folds: probabilities(by_fold(model, planes, folds).logits, model.calibration)),
        "refused": {"held_out": round(float((odd | (looked.distance > limits["max_distance"])).mean()), 4), **refusals(model, count)},
    }


def cross_fitted_ece(logits: npt.NDArray[np.float64], slices: Slices) -> float:
    """Calibrated on the answers of the other folds."""
    p = np.zeros_like(logits)
    for fold in range(FOLDS):
        here = slices.folds == fold
        p[here] = probabilities(logits[here], calibrate(logits[~here], slices.labels[~here], shares(slices.labels[~here])))
    return expected_calibration_error(p, slices.labels)


def shares(labels: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """The share of every class, one image added to each so that none is 0."""
    counts = np.bincount(labels, minlength=len(CLASSES)) + 1
    return tuple(round(float(count / counts.sum()), 6) for count in counts)


def answered(
    p: npt.NDArray[np.float64], refused: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], limits: Mapping[str, float]
) -> dict[str, float]:
    """The share that gets an answer, and how many of them are right."""
    top, value = p.argmax(axis=1), p.max(axis=1)
    needed = np.where(top == NORMAL, limits["min_normal"], limits["min_probability"])
    said = (value >= needed) & ~refused
    found = {"share": round(float(said.mean()), 4), "largest_probability": round(float(value.max()), 4)}
    return found | ({"accuracy": round(float((top[said] == labels[said]).mean()), 4)} if said.any() else {})


def refusals(model: Model, count: int) -> dict[str, float]:
    """The share refused of ``count`` drawn pictures of every kind, in grey."""
    found = {}
    for kind in STRANGERS:
        drawn = [
            drawn_pictures.draw(kind, seed).mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
            for seed in range(FIRST, FIRST + count)
        ]
        answers = model.predict([Photograph(rgb, "", None, "", "", None, ()) for rgb in drawn])
        found[kind] = round(float(np.mean([one.outcome is Outcome.ABSTAINED and not one.probabilities for one in answers])), 4)
    return found
