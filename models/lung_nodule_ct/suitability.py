"""Checks whether the model was made for a series, by its geometry and by the lungs in the image, not by the header."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from imaging.volume.volume import Volume
from models.ct.lung_field import LungField

LEAST_SLICES = 16
MOST_STEP_MM = 5.0
LEAST_FIELD_MM = 200.0
THICK_MM = 3.75  # from this distance of slices on the figures of thick slices are stated
BY_ACQUISITION, THICK = "by_acquisition", "slices_of_5_mm"  # of the card's metrics
# Share of the largest lung area from which on the first or last slice is taken to cut through the lungs.
CUT_SHARE = 0.25


def check_geometry(volume: Volume) -> str:
    """Why the volume's grid does not suit the model, or ""."""
    slices, rows, columns = volume.hu.shape
    dz, dy, dx = volume.spacing_mm
    if slices < LEAST_SLICES:
        return f"at least {LEAST_SLICES} slices are needed, the series has {slices}"
    if dz > MOST_STEP_MM:
        return f"slices at most {MOST_STEP_MM:g} mm apart are needed, these are {dz:.1f} mm apart"
    if min(rows * dy, columns * dx) < LEAST_FIELD_MM:
        field = min(rows * dy, columns * dx)
        return f"an in-plane field of view of at least {LEAST_FIELD_MM:g} mm is needed, this one is {field:.0f} mm"
    if abs(volume.affine[2, 2]) < 0.9 * dz:
        return "axial slices are needed, these are of another orientation"
    return ""


def check_chest(lungs: LungField | None) -> str:
    """Why the image shows no lungs that can be analysed, or "". ``lungs``: the lung field, None where none was found."""
    return "no lung field was found: this is no chest, or there is no air in its lungs" if lungs is None else ""


def cut_ends(lungs: LungField, volume: Volume) -> tuple[str, ...]:
    """The ends of the lungs ("lower end", "upper end") that lie beyond the series."""
    area = lungs.air.sum(axis=(1, 2))
    limit = CUT_SHARE * float(np.max(area))
    upwards = volume.affine[2, 2] > 0  # LPS: z grows towards the head
    first, last = ("lower end", "upper end") if upwards else ("upper end", "lower end")
    return tuple(name for name, value in ((first, area[0]), (last, area[-1])) if value >= limit)


def not_covered(lungs: LungField, volume: Volume) -> tuple[str, ...]:
    """A sentence for the ends of the lungs that the series does not cover; none where it covers both."""
    ends = cut_ends(lungs, volume)
    if not ends:
        return ()
    sentence = f"The {' and the '.join(ends)} of the lungs {'was' if len(ends) == 1 else 'were'} not covered by the series"
    return (f"{sentence}: what lies there was not examined. The series shows {lungs.litres:.1f} l of air-filled lung.",)


def thick_slices_note(volume: Volume, metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """A note for a series of thick slices: what the model was measured to do on such; none for thin slices or without a measurement."""
    figures = metrics.get(BY_ACQUISITION, {}).get(THICK)
    step = volume.spacing_mm[0]
    if figures is None or step < THICK_MM:
        return ()
    return (f"The slices are {step:.1f} mm apart. {thick_slices_sentence(metrics[BY_ACQUISITION])}",)


def thick_slices_sentence(by_acquisition: Mapping[str, Any]) -> str:
    """What the card and the report say of thick slices."""
    thick, thin = by_acquisition[THICK], by_acquisition["as_acquired"]
    return (
        f"With slices of {MOST_STEP_MM:g} mm the model found {thick['found']:.2f} of the nodules "
        f"instead of {thick['found_as_acquired']:.2f}, and marked {thick['false_positives_per_scan']:.0f} places in a series "
        f"that are no nodule instead of {thin['false_positives_per_scan']:.0f}."
    )
