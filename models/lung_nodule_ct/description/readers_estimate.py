"""Density, margin and suspicion of a nodule as readers of LIDC-IDRI rated such nodules: linear in its appearance, coefficients in the card.

The card's table ``[network.readers]`` has ``features``, their ``mean`` and ``scale``, and for each rating (texture, margin, malignancy; the
mean of the readers, 1 to 5) that is estimated a table with ``intercept`` and ``coefficients``. A rating that the card does not have is not
estimated. Suspicion is what readers thought of the image; it says nothing of pathology.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.concepts import codes, private_codes
from core.records import Code, Evaluation
from models.lung_nodule_ct.description.appearance import FEATURES

LOWEST, HIGHEST = 1.0, 5.0
UNSUSPICIOUS, SUSPICIOUS = 2.5, 3.5

Values = npt.NDArray[np.float64]


def estimated_rating(table: Mapping[str, Any], rating: str, appearance: Values) -> float | None:
    """The mean rating 1..5 that readers would give; None where the card does not estimate it.

    Parameters
    ----------
    table
        ``[network.readers]`` of the card.
    rating
        texture, margin or malignancy.
    appearance
        The values of `FEATURES`, float64 (n,).
    """
    if rating not in table:
        return None
    chosen = appearance[[FEATURES.index(name) for name in table["features"]]]
    scaled = (chosen - np.array(table["mean"])) / np.array(table["scale"])
    value = float(table[rating]["intercept"] + scaled @ np.array(table[rating]["coefficients"]))
    return min(max(value, LOWEST), HIGHEST)


def density_by_readers(table: Mapping[str, Any], appearance: Values) -> str | None:
    """Solid, part_solid or ground_glass by the limits of the card; None where it has none."""
    value = estimated_rating(table, "texture", appearance)
    if value is None:
        return None
    limits = table["texture"]
    return "solid" if value >= limits["solid_from"] else "part_solid" if value >= limits["part_solid_from"] else "ground_glass"


def reader_evaluations(table: Mapping[str, Any], appearance: Values) -> tuple[Evaluation, ...]:
    """Margin and suspicion as evaluations of the finding, those of both that the card estimates."""
    found = []
    margin = estimated_rating(table, "margin", appearance)
    if margin is not None:
        sharp = margin >= table["margin"]["sharp_from"]
        found.append(Evaluation(codes.MARGINS, codes.CIRCUMSCRIBED_MARGIN if sharp else codes.INDISTINCT_MARGIN))
    suspicion = estimated_rating(table, "malignancy", appearance)
    if suspicion is not None:
        found.append(Evaluation(private_codes.SUSPICION, suspicion_band(suspicion)))
    return tuple(found)


def suspicion_band(rating: float) -> Code:
    """Band of the estimated mean rating: below 2.5, 2.5 to 3.5, above 3.5."""
    if rating < UNSUSPICIOUS:
        return private_codes.SUSPICION_LOW
    return private_codes.SUSPICION_HIGH if rating > SUSPICIOUS else private_codes.SUSPICION_INDETERMINATE
