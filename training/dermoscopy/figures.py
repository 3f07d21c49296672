"""What is said of the classifier: figures of a table of held-out images."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from core.states import Outcome
from imaging.photograph.read import Photograph
from models.calibration import expected_calibration_error
from models.card import ModelCard
from models.dermoscopy.model import Model
from training import drawn_pictures
from training.bootstrap import Answers, bootstrap
from training.dermoscopy.data import CLASSES, COARSE_ARCHIVE, Row
from training.dermoscopy.held_out_rows import Held
from training.dermoscopy.metrics import by_group, cross_fitted_ece, mean_of, measure, per_class, rounded
from training.dermoscopy.skin_tone import tone

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
TOGETHER = (
    "HAM10000, the networks of the folds answering together, on half of fold 0's lesions, chosen by hash, which none of them learned; "
    + ONE_FOLD.partition("; ")[2]
)
INTERVALS = ("balanced_accuracy", "macro_auc", "ece", "mel_sensitivity_at_90_specificity")


def measured(training: Mapping[str, Any]) -> str:
    """How the figures of a card with the table ``training`` came about."""
    return TOGETHER if "folds" in training else ONE_FOLD


def figures(card: ModelCard, held: Held, rows: Sequence[Row], how: str) -> dict[str, Any]:
    """Everything measured on the images of ``held``; ``rows`` is the index, ``how`` says how."""
    names = [label.name for label in card.labels]
    known = held.of(rows)
    labels = np.array([CLASSES.index(row.dx) for row in known])
    p = held.probabilities()
    malignant = np.array([label.malignant for label in card.labels])
    answers = Answers(tuple(names), malignant, p, labels, np.array([row.lesion_id for row in known]), 0)
    intervals = bootstrap(answers)
    found: dict[str, Any] = {
        "measured": how,
        "lesions": len(set(answers.groups.tolist())),
        **measure(card, p, labels, np.array([row.archive == COARSE_ARCHIVE for row in known])),
        "outline_dice_mean": rounded(held.dice.mean()),
        "outline_dice_median": rounded(np.median(held.dice)),
        "intervals": {key: list(intervals[key][1:]) for key in INTERVALS if key in intervals},
        "without_patient": without_patient(names, held, labels),
    }
    if "mel_sensitivity_at_90_specificity" in intervals:
        found["melanoma_sensitivity_at_90_specificity"] = intervals["mel_sensitivity_at_90_specificity"][0]
    for title, word in GROUPS.items():
        groups = np.array([word(row, angle) for row, angle in zip(known, held.angle.tolist(), strict=True)])
        found[title] = by_group(answers, groups)
    return found


GROUPS: Mapping[str, Callable[[Row, float], str]] = {
    "by_sex": lambda row, angle: row.patient.sex or "unknown",
    "by_age": lambda row, angle: band(row.patient.age_years),
    "by_site": lambda row, angle: row.patient.site or "unknown",
    "by_skin_tone": lambda row, angle: tone(angle),
}


def band(age_years: float | None) -> str:
    """Decades in pairs."""
    if age_years is None:
        return "unknown"
    return "below 30" if age_years < 30 else "30 to 49" if age_years < 50 else "50 to 69" if age_years < 70 else "70 and above"


def halved_ece(held: Held, rows: Sequence[Row]) -> float:
    """Calibration error where the temperature is fitted on one half of the lesions and measured on the other."""
    known = held.of(rows)
    half = np.array([hashlib.sha256(f"calibration:{row.lesion_id}".encode()).digest()[0] % 2 == 0 for row in known])
    return rounded(cross_fitted_ece(held.logits, np.array([CLASSES.index(row.dx) for row in known]), half))


def without_patient(names: Sequence[str], held: Held, labels: np.ndarray) -> dict[str, float]:
    """The main figures where age, sex and site are unknown; the temperature stays."""
    p = held.probabilities(held.bare)
    classes = per_class(p.argmax(1), labels, p, names)
    return {
        "balanced_accuracy": mean_of(classes, "recall"),
        "macro_auc": mean_of(classes, "auc"),
        "ece": rounded(expected_calibration_error(p, labels)),
    }


def refusals(model: Model, held: Held, count: int) -> dict[str, float]:
    """The share refused of the held-out images and of ``count`` strangers of every kind."""
    found = {"held_out": rounded(held.refused.mean())}
    for kind in drawn_pictures.KINDS:
        items = [Photograph(drawn_pictures.draw(kind, seed), "", None, "", "", None, ()) for seed in range(count)]
        answers = model.predict(items)
        found[kind] = rounded(np.mean([answer.outcome is Outcome.ABSTAINED for answer in answers]))
    return found
