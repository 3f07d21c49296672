"""The ``metrics`` table of the card: every slice is classified by the network that was trained without its cluster."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.states import Outcome
from imaging.photograph.read import Photograph
from models.lung_histology_ct.model import HistologyClassifier, SliceOutput
from models.lung_histology_ct.not_a_slice import check_slice
from models.lung_histology_ct.probabilities import probabilities
from training import drawn_pictures
from training.bootstrap import bootstrap_metrics
from training.classifier_answers import ClassifierAnswers
from training.classifier_metrics import auc, per_class, rounded
from training.lung_histology_ct.calibration import cross_fitted_ece
from training.lung_histology_ct.clusters import SAME_PATIENT
from training.lung_histology_ct.data import CLASSES, FOLDS, NORMAL, SliceImages
from training.lung_histology_ct.shortcuts import measure_shortcuts

FIRST_SEED = 1000  # the limits were set on drawings with smaller seeds
DRAWN_KINDS = ("document", "noise", "plain_skin", "texture")
# The wording is that of the shipped card.
HOW = (
    f"685 screenshots, without exact copies and without those in which the window cuts the lungs off; {FOLDS} folds over clusters of "
    f"like chests (correlation above {SAME_PATIENT} in any mirror image, chained, within a class: a guess at patients), each slice judged "
    "by the network that saw nothing of its cluster; temperatures fitted on these very answers, ece_cross_fitted on those of the other "
    "folds; intervals: 95 %, clusters redrawn; answered: what is above the card's limits; shortcuts: how well normal is told from "
    "carcinoma, chance is an area of 0.5; nothing external was measured"
)
WITH_INTERVALS = ("balanced_accuracy", "macro_auc", "accuracy", "ece", "malignancy_auc")


def run_by_fold(model: HistologyClassifier, planes: npt.NDArray[np.uint8], folds: npt.NDArray[np.int64]) -> SliceOutput:
    """Every slice through the network that was trained without its fold."""
    logits, distance = np.zeros((len(planes), len(CLASSES))), np.zeros(len(planes))
    for fold in range(FOLDS):
        chosen = folds == fold
        output = model.single_member(fold).run_networks(planes[chosen])
        logits[chosen], distance[chosen] = output.logits, output.distance
    return SliceOutput(logits, distance)


def card_metrics(model: HistologyClassifier, slices: SliceImages, count: int, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Everything measured; refusals on ``count`` drawn pictures of every kind."""
    output = run_by_fold(model, slices.planes, slices.folds)
    p = probabilities(output.logits, model.calibration)
    malignant = np.array([label.malignant for label in model.card.labels])
    groups = np.array([str(cluster) for cluster in slices.clusters])
    answers = ClassifierAnswers(CLASSES, malignant, p, slices.labels, groups, 0)
    known = bootstrap_metrics(answers)
    progress("measuring shortcuts")
    limits = model.card.thresholds
    refused = np.array([bool(check_slice(picture, limits)) for picture in slices.grey]) | (output.distance > limits["max_distance"])
    chosen = slices.labels != NORMAL
    among = p[chosen, :NORMAL] / p[chosen, :NORMAL].sum(axis=1, keepdims=True)
    classes = per_class(answers.chosen, slices.labels, p, CLASSES)

    def by_fold(planes: npt.NDArray[np.uint8], folds: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return probabilities(run_by_fold(model, planes, folds).logits, model.calibration)

    return {
        "measured": HOW,
        "n": len(slices.labels),
        "clusters": len(np.unique(slices.clusters)),
        **{key: known[key][0] for key in ("balanced_accuracy", "macro_auc", "accuracy", "ece") if key in known},
        "ece_cross_fitted": rounded(cross_fitted_ece(output.logits, slices)),
        "answered": answered_share(p, refused, slices.labels, limits),
        "images": {name: int((slices.labels == c).sum()) for c, name in enumerate(CLASSES)},
        "clusters_of": {name: len(np.unique(slices.clusters[slices.labels == c])) for c, name in enumerate(CLASSES)},
        "classes": {name: {key: found[key] for key in ("recall", "precision", "auc", "n")} for name, found in classes.items()},
        "auc_among_carcinomas": {CLASSES[c]: rounded(auc(among[:, c], slices.labels[chosen] == c)) for c in range(NORMAL)},
        "intervals": {key: list(known[key][1:]) for key in WITH_INTERVALS if key in known},
        "shortcuts": measure_shortcuts(slices, limits, by_fold),
        "refused": {"held_out": rounded(refused.mean()), **refused_shares(model, count)},
    }


def answered_share(
    p: npt.NDArray[np.float64], refused: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], limits: Mapping[str, float]
) -> dict[str, float]:
    """The share of slices that get an answer, and the accuracy of the answers."""
    top, value = p.argmax(axis=1), p.max(axis=1)
    needed = np.where(top == NORMAL, limits["min_normal"], limits["min_probability"])
    answered = (value >= needed) & ~refused
    found = {"share": rounded(answered.mean()), "largest_probability": rounded(value.max())}
    return found | ({"accuracy": rounded((top[answered] == labels[answered]).mean())} if answered.any() else {})


def refused_shares(model: HistologyClassifier, count: int) -> dict[str, float]:
    """The share refused of ``count`` drawn pictures of every kind, in grey."""
    found = {}
    for kind in DRAWN_KINDS:
        drawn = [
            drawn_pictures.draw_picture(kind, seed).mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
            for seed in range(FIRST_SEED, FIRST_SEED + count)
        ]
        answers = model.predict([Photograph(rgb, "", None, "", "", None, ()) for rgb in drawn])
        found[kind] = rounded(np.mean([one.outcome is Outcome.ABSTAINED and not one.probabilities for one in answers]))
    return found
