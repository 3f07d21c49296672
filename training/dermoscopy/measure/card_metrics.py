"""The ``metrics`` table of a card, from a table of held-out images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from core.states import Outcome
from imaging.photograph.read import Photograph
from models.card import ModelCard
from models.dermoscopy.model import DermoscopyClassifier
from training import drawn_pictures
from training.bootstrap import bootstrap_metrics
from training.calibration import expected_calibration_error
from training.classifier_answers import ClassifierAnswers
from training.classifier_metrics import mean_of, per_class, rounded
from training.dermoscopy.ham10000.data import CLASSES, COARSE_ARCHIVE, HamImage
from training.dermoscopy.measure.group_metrics import cross_fitted_ece, half_of_lesions, image_metrics, metrics_by_group
from training.dermoscopy.measure.held_out_table import HeldOutTable
from training.dermoscopy.measure.skin_tone import tone

# These sentences become part of a card, so that the shipped card is what the training writes.
HOW = (
    "HAM10000, five folds of lesions chosen by hash, a fifth of every class in each, no lesion in two; every image of a held-out lesion "
    "counts, the refused ones too, with age, sex and site as in the index (without_patient: none of them); averaged weights of the last "
    "epoch, no epoch was selected; intervals: 95 %, whole lesions redrawn; by_skin_tone: individual typology angle of the skin around "
    "the lesion, cameras not calibrated; nothing external was measured"
)
ONE_FOLD = (
    f"{HOW}; the temperature was fitted on the same held-out images, ece_cross_fitted fits it on one half of their lesions and measures "
    "on the other; refused: of the held-out images, and of pictures drawn by seed that are no dermoscopy"
)
ENSEMBLE = (
    "HAM10000, the networks of the folds answering together, on half of fold 0's lesions, chosen by hash, which none of them learned; "
    + ONE_FOLD.partition("; ")[2]
)
MORE = (
    "external: the test part of the ISIC 2017 challenge, three classes; robustness: every eighth of the held-out images, without facts of "
    "the patient; melanoma_operating_points: of the same held-out images, from which the card's thresholds were taken"
)
TRANSFER = (
    ENSEMBLE.replace("the networks of the folds answering", "the card's networks of folds and EfficientNets answering")
    .replace("of the last epoch, no epoch was selected", "of the last epoch or step, none was selected")
    .replace("nothing external was measured", MORE)
)
INTERVALS = ("balanced_accuracy", "macro_auc", "ece", "mel_sensitivity_at_90_specificity")


def how_measured(training: Mapping[str, Any]) -> str:
    """How the metrics of a card with the table ``training`` were measured."""
    if "transfer" in training:
        return TRANSFER
    return ENSEMBLE if "folds" in training else ONE_FOLD


def card_metrics(card: ModelCard, table: HeldOutTable, rows: Sequence[HamImage], how: str) -> dict[str, Any]:
    """Everything measured on the images of ``table``; ``rows`` is the data set's index, ``how`` says how it was measured."""
    names = [label.name for label in card.labels]
    known = table.rows_of(rows)
    labels = true_labels(table, rows)
    p = table.probabilities()
    malignant = np.array([label.malignant for label in card.labels])
    answers = ClassifierAnswers(tuple(names), malignant, p, labels, np.array([row.lesion_id for row in known]), 0)
    intervals = bootstrap_metrics(answers)
    found: dict[str, Any] = {
        "measured": how,
        "lesions": len(set(answers.groups.tolist())),
        **image_metrics(card, p, labels, np.array([row.archive == COARSE_ARCHIVE for row in known])),
        "outline_dice_mean": rounded(table.dice.mean()),
        "outline_dice_median": rounded(np.median(table.dice)),
        "intervals": {key: list(intervals[key][1:]) for key in INTERVALS if key in intervals},
        "without_patient": main_metrics(names, table.probabilities(table.bare), labels),
    }
    if "mel_sensitivity_at_90_specificity" in intervals:
        found["melanoma_sensitivity_at_90_specificity"] = intervals["mel_sensitivity_at_90_specificity"][0]
    for title, group_of in GROUPS.items():
        groups = np.array([group_of(row, angle) for row, angle in zip(known, table.angle.tolist(), strict=True)])
        found[title] = metrics_by_group(answers, groups)
    return found


GROUPS: Mapping[str, Callable[[HamImage, float], str]] = {
    "by_sex": lambda row, angle: row.patient.sex or "unknown",
    "by_age": lambda row, angle: age_band(row.patient.age_years),
    "by_site": lambda row, angle: row.patient.site or "unknown",
    "by_skin_tone": lambda row, angle: tone(angle),
}


def age_band(age_years: float | None) -> str:
    """Two decades each."""
    if age_years is None:
        return "unknown"
    return "below 30" if age_years < 30 else "30 to 49" if age_years < 50 else "50 to 69" if age_years < 70 else "70 and above"


def true_labels(table: HeldOutTable, rows: Sequence[HamImage]) -> np.ndarray:
    """(N,) index of the true class of every image."""
    return np.array([CLASSES.index(row.dx) for row in table.rows_of(rows)])


def main_metrics(names: Sequence[str], probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Balanced accuracy, macro AUC and calibration error."""
    classes = per_class(probabilities.argmax(1), labels, probabilities, names)
    return {
        "balanced_accuracy": mean_of(classes, "recall"),
        "macro_auc": mean_of(classes, "auc"),
        "ece": rounded(expected_calibration_error(probabilities, labels)),
    }


def halved_ece(table: HeldOutTable, rows: Sequence[HamImage]) -> float:
    """Calibration error where the temperature is fitted on one half of the lesions and measured on the other."""
    half = half_of_lesions([row.lesion_id for row in table.rows_of(rows)])
    return rounded(cross_fitted_ece(table.logits, true_labels(table, rows), half))


def refused_shares(model: DermoscopyClassifier, table: HeldOutTable, count: int) -> dict[str, float]:
    """The share refused of the held-out images, and of ``count`` drawn pictures of every kind."""
    found = {"held_out": rounded(table.refused.mean())}
    for kind in drawn_pictures.KINDS:
        items = [Photograph(drawn_pictures.draw_picture(kind, seed), "", None, "", "", None, ()) for seed in range(count)]
        found[kind] = rounded(np.mean([answer.outcome is Outcome.ABSTAINED for answer in model.predict(items)]))
    return found
