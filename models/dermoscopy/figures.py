"""The card's figures: what is measured on the held-out images and on strangers."""

import hashlib
from typing import Any

import numpy as np

from core.states import Outcome
from imaging.photograph import Photograph
from models.calibrate import expected_calibration_error, fit_temperature, softmax
from models.dermoscopy import strangers
from models.dermoscopy.data import LesionImages
from models.dermoscopy.measure import by_group, cross_fitted_ece, dice, mean_of, measure, per_class, rounded
from models.dermoscopy.model import Looked, Model
from models.intervals import Answers, bootstrap

HOW = (
    "HAM10000, lesions held out by hash (18 % of every class), no lesion on both sides; every image of a held-out lesion counts, "
    "with age, sex and site as in the index (without_patient: none of them); averaged weights of the last epoch, no epoch was selected; "
    "the temperature was fitted on the same held-out images, and on them the second stage alone was preferred to its mean with the "
    "first; ece_cross_fitted fits the temperature on one half of their lesions and measures on the other; intervals: 95 %, lesions "
    "redrawn; refused: of the held-out images, and of pictures drawn by seed that are no dermoscopy; nothing external was measured"
)


def figures(model: Model, looked: Looked, images: LesionImages, held: np.ndarray) -> dict[str, Any]:
    """Everything measured on the images ``held``, which ``looked`` is of; the refused ones count too."""
    card, labels = model.card, images.labels[held]
    names = [label.name for label in card.labels]
    lesions = [images.rows[i].lesion_id for i in held]
    patients = [images.rows[i].patient for i in held]
    half = np.array([hashlib.sha256(f"half:{lesion}".encode()).digest()[0] % 2 == 0 for lesion in lesions])
    p = softmax(looked.logits, card.temperature)
    overlap = dice(looked.outline > 0, images.masks[held])
    bands = np.array(["unknown" if one.age_years is None else band(one.age_years) for one in patients])
    malignant = np.array([label.malignant for label in card.labels])
    known = bootstrap(Answers(tuple(names), malignant, p, labels, np.array(lesions), 0))
    found: dict[str, Any] = {
        "measured": HOW,
        "lesions": len(set(lesions)),
        "ece_cross_fitted": rounded(cross_fitted_ece(looked.logits, labels, half)),
        **measure(card, looked.logits, labels, images.coarse[held]),
        "outline_dice_mean": rounded(overlap.mean()),
        "outline_dice_median": rounded(np.median(overlap)),
        "intervals": {key: list(known[key][1:]) for key in ("balanced_accuracy", "macro_auc", "ece") if key in known},
        "without_patient": without_patient(model, images, held),
        "by_sex": by_group(p, labels, np.array([one.sex or "unknown" for one in patients]), names),
        "by_age": by_group(p, labels, bands, names),
        "by_site": by_group(p, labels, np.array([one.site or "unknown" for one in patients]), names),
    }
    if "mel_sensitivity_at_90_specificity" in known:
        found["melanoma_sensitivity_at_90_specificity"] = known["mel_sensitivity_at_90_specificity"][0]
    return found


def band(age_years: float) -> str:
    """Decades in pairs."""
    return "below 30" if age_years < 30 else "30 to 49" if age_years < 50 else "50 to 69" if age_years < 70 else "70 and above"


def without_patient(model: Model, images: LesionImages, held: np.ndarray) -> dict[str, float]:
    """The main figures where age, sex and site are unknown; temperature as in the card."""
    logits = model.look(images.pixels[held, 0], np.zeros_like(images.patients[held])).logits
    labels, p = images.labels[held], softmax(logits, model.card.temperature)
    classes = per_class(p.argmax(1), labels, p, [label.name for label in model.card.labels])
    return {
        "balanced_accuracy": mean_of(classes, "recall"),
        "macro_auc": mean_of(classes, "auc"),
        "ece": rounded(expected_calibration_error(p, labels)),
        "own_temperature": rounded(fit_temperature(logits, labels)),
    }


def refusals(model: Model, looked: Looked, count: int) -> dict[str, float]:
    """The share refused of the held-out images and of ``count`` strangers of every kind."""
    found = {"held_out": rounded((looked.distance > model.card.thresholds["max_distance"]).mean())}
    for kind in strangers.KINDS:
        items = [Photograph(strangers.draw(kind, seed), "", None, "", "", None, ()) for seed in range(count)]
        answers = model.predict(items)
        found[kind] = rounded(np.mean([answer.outcome is Outcome.ABSTAINED for answer in answers]))
    return found
