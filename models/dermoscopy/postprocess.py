"""From probabilities to what a report says."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.codes import AREA, MILLIMETER, NO_UNITS, PERIMETER, PIXELS, SQUARE_MILLIMETER
from core.private_codes import MALIGNANCY
from core.records import Finding, Measurement, Prediction
from core.states import Outcome, Tier
from imaging.masks import pack_mask
from imaging.photograph.read import Photograph
from models.calibration import tier
from models.card import Label, ModelCard
from models.dermoscopy.preprocess import centre_square
from models.image_maps import Region, measure_region


@dataclass(frozen=True, slots=True)
class Decision:
    """The top class, its calibrated probability and tier, and the summed probability of the malignant classes."""

    label: Label
    probability: float
    tier: Tier
    malignancy: float


def decide(card: ModelCard, probabilities: np.ndarray) -> Decision:
    """(C,) calibrated probabilities in the order of the card's labels."""
    top = int(probabilities.argmax())
    label, value = card.labels[top], float(probabilities[top])
    malignancy = float(sum(p for p, entry in zip(probabilities, card.labels, strict=True) if entry.malignant))
    given = tier(value, card.tiers, malignant=label.malignant, malignant_probability=malignancy)
    return Decision(label, value, given, malignancy)


def unusable(rgb: np.ndarray, limits: Mapping[str, float]) -> str:
    """Why (Y, X, 3) uint8 is plainly no dermoscopy image, or "".

    ``limits``: ``min_side_px``; ``min_contrast``, the standard deviation of the luma in the centre square; ``min_chroma``,
    the mean distance between the strongest and the weakest channel there (0 is grey).
    """
    side = min(rgb.shape[:2])
    if side < limits["min_side_px"]:
        return f"the shorter side has {side} pixels, {limits['min_side_px']:.0f} are needed"
    square = centre_square(rgb)[:: max(1, side // 128), :: max(1, side // 128)].astype(np.float32)
    contrast = float((square @ np.array([0.299, 0.587, 0.114], np.float32)).std())
    if contrast < limits["min_contrast"]:
        return f"the image is nearly uniform (contrast {contrast:.1f}, {limits['min_contrast']:.1f} is needed)"
    chroma = float((square.max(axis=2) - square.min(axis=2)).mean())
    if chroma < limits["min_chroma"]:
        return f"the image is nearly grey (chroma {chroma:.1f}, {limits['min_chroma']:.1f} is needed): no dermoscopy colour image"
    return ""


def unfamiliar(distance: float, limits: Mapping[str, float]) -> str:
    """Why an image at ``distance`` from the training images is not judged, or ""; ``limits``: ``max_distance``."""
    if distance <= limits["max_distance"]:
        return ""
    limit = limits["max_distance"]
    return f"the image is unlike the dermoscopy images of the training (distance {distance:.1f}, at most {limit:.1f} is judged)"


def outline_note(region: Region, square_px: int) -> str:
    """The outline's measures in one sentence; ``square_px`` is the area that was looked at."""
    if region.area_px == 0:
        return "No outline of a lesion could be drawn."
    metric = "" if region.area_mm2 is None else f" ({region.area_mm2:.1f} mm2, border {region.border_mm:.1f} mm)"
    share = f"{100 * region.area_px / square_px:.0f} % of the centre square"
    return f"Outline of the lesion: {region.area_px} pixels, {share}, border {region.border_px:.0f} pixels{metric}."


def outline_measurements(region: Region) -> tuple[Measurement, ...]:
    """Area and border, in millimetres where the image says how large a pixel is, else in pixels; nothing of no outline."""
    if region.area_px == 0:
        return ()
    if region.area_mm2 is None or region.border_mm is None:
        return Measurement(AREA, float(region.area_px), PIXELS), Measurement(PERIMETER, region.border_px, PIXELS)
    return Measurement(AREA, region.area_mm2, SQUARE_MILLIMETER), Measurement(PERIMETER, region.border_mm, MILLIMETER)


def abstained(reason: str, card: ModelCard) -> Prediction:
    """The answer for an image that the model does not judge."""
    return Prediction(Outcome.ABSTAINED, reason=reason, looked_for=card.looked_for)


def found(card: ModelCard, probabilities: np.ndarray, image: Photograph, outline: np.ndarray) -> Prediction:
    """The answer for one image: the top class with the lesion's outline as the finding, and every class's probability.

    ``outline`` (Y, X) bool on the image's grid. The probability of malignancy stands first among the measurements.
    """
    decision, mask = decide(card, probabilities), pack_mask(outline[None])
    region = measure_region(outline, image.pixel_spacing_mm)
    said = [f"Probability of malignancy (mel + bcc + akiec): {decision.malignancy:.2f}.", decision.label.advice]
    if decision.probability > card.tiers.high and decision.tier is not Tier.HIGH:
        said.append(f"The tier was lowered: a benign answer while the probability of malignancy is above {card.tiers.malignant_limit:.2f}.")
    finding = Finding(
        label=decision.label.name,
        code=decision.label.code,
        probability=decision.probability,
        tier=decision.tier,
        sop_instance_uid=image.sop_instance_uid,
        measurements=(Measurement(MALIGNANCY, decision.malignancy, NO_UNITS), *outline_measurements(region)),
        mask=mask,
    )
    every = {label.name: float(p) for label, p in zip(card.labels, probabilities, strict=True)}
    notes = (*said, outline_note(region, min(outline.shape) ** 2), *image.notes)
    return Prediction(Outcome.FINDINGS, (finding,), every, looked_for=card.looked_for, notes=tuple(text for text in notes if text))
