"""Builds the prediction of one image from its probabilities and the outline of the lesion."""

from dataclasses import dataclass, replace

import numpy as np

from core.concepts.codes import AREA, MILLIMETER, NO_UNITS, PERIMETER, PIXELS, SQUARE_MILLIMETER
from core.concepts.measured_values import format_measured
from core.concepts.private_codes import MALIGNANCY
from core.records import Measurement, Prediction
from core.states import Outcome, Tier
from imaging.masks import pack_mask
from imaging.photograph.read import Photograph
from models.card import Label, ModelCard
from models.classifier.predictions import by_label, class_finding, label_index
from models.classifier.tiers import class_tier, malignant_probability
from models.dermoscopy.outline import RegionMeasures, measure_region

MELANOMA = "mel"
# Thresholds of a card for the probability of melanoma, strictest first, and the sensitivity that each has on held-out images.
OPERATING_POINTS = {"melanoma_at_90_sensitivity": 90, "melanoma_at_95_sensitivity": 95}


@dataclass(frozen=True, slots=True)
class TopClass:
    """The most probable class (its ``index`` among the card's labels), its calibrated probability and tier, and the sum of the malignant
    classes' probabilities."""

    index: int
    label: Label
    probability: float
    tier: Tier
    malignancy: float


def top_class(card: ModelCard, probabilities: np.ndarray) -> TopClass:
    """The top class of (C,) calibrated probabilities in the order of the card's labels."""
    top = int(probabilities.argmax())
    label, value = card.labels[top], float(probabilities[top])
    tier = class_tier(card, probabilities, top)
    if tier is Tier.HIGH and not label.malignant and melanoma_point(card, probabilities) is not None:
        tier = Tier.REVIEW
    return TopClass(top, label, value, tier, malignant_probability(card.labels, probabilities))


def melanoma_point(card: ModelCard, probabilities: np.ndarray) -> int | None:
    """The sensitivity in percent of the strictest operating point that the probability of melanoma reaches; None below all, or without."""
    if all(label.name != MELANOMA for label in card.labels):
        return None
    value = float(probabilities[label_index(card, MELANOMA)])
    reached = [percent for name, percent in OPERATING_POINTS.items() if value >= card.thresholds.get(name, float("inf"))]
    return min(reached, default=None)


def outline_note(region: RegionMeasures, square_px: int) -> str:
    """The outline's measures in one sentence; ``square_px`` is the area of the centre square."""
    if region.area_px == 0:
        return "No outline of a lesion could be drawn."
    metric = ""
    if region.area_mm2 is not None and region.border_mm is not None:
        metric = f" ({format_measured(region.area_mm2, 'mm2')}, border {format_measured(region.border_mm, 'mm')})"
    share = f"{100 * region.area_px / square_px:.0f} % of the centre square"
    area, border = (format_measured(value, PIXELS.value) for value in (region.area_px, region.border_px))
    return f"Outline of the lesion: {area}, {share}, border {border}{metric}."


def outline_measurements(region: RegionMeasures) -> tuple[Measurement, ...]:
    """Area and border, in millimetres where the pixel spacing is known, else in pixels; none of an empty outline."""
    if region.area_px == 0:
        return ()
    if region.area_mm2 is None or region.border_mm is None:
        return Measurement(AREA, float(region.area_px), PIXELS), Measurement(PERIMETER, region.border_px, PIXELS)
    return Measurement(AREA, region.area_mm2, SQUARE_MILLIMETER), Measurement(PERIMETER, region.border_mm, MILLIMETER)


def lesion_prediction(card: ModelCard, probabilities: np.ndarray, image: Photograph, outline: np.ndarray) -> Prediction:
    """The prediction for one image: the top class with the lesion's outline as the finding, and every class's probability.

    ``outline`` (Y, X) bool on the image's grid. The probability of malignancy is the first of the measurements.
    """
    top, mask = top_class(card, probabilities), pack_mask(outline[None])
    region = measure_region(outline, image.pixel_spacing_mm)
    texts = [f"Probability of malignancy (mel + bcc + akiec): {top.malignancy:.2f}.", top.label.advice]
    point = melanoma_point(card, probabilities)
    if point is not None:
        texts.append(f"Melanoma cannot be excluded: its probability is above the operating point of {point} % sensitivity.")
    if top.probability > card.tiers.high and top.tier is not Tier.HIGH:
        limit = card.tiers.malignant_limit
        above = top.malignancy > limit
        reason = f"the probability of malignancy is above {limit:.2f}" if above else "that of melanoma reaches an operating point"
        texts.append(f"The tier was lowered: a benign answer while {reason}.")
    finding = replace(
        class_finding(card, probabilities, top.index),
        tier=top.tier,
        sop_instance_uid=image.sop_instance_uid,
        measurements=(Measurement(MALIGNANCY, top.malignancy, NO_UNITS), *outline_measurements(region)),
        mask=mask,
    )
    every = by_label(card, probabilities)
    notes = (*texts, outline_note(region, min(outline.shape) ** 2), *image.notes)
    return Prediction(Outcome.FINDINGS, (finding,), every, looked_for=card.looked_for, notes=tuple(text for text in notes if text))
