"""Selects the slices of a series that are analysed."""

from collections.abc import Mapping

import numpy as np

from imaging.volume.volume import Volume
from models.ct.lung_field import lung_field


def check_series(volume: Volume, limits: Mapping[str, float]) -> str:
    """Why the series' grid does not suit the model, or ""; ``limits``: ``min_slices``."""
    dz = volume.spacing_mm[0]
    if volume.hu.shape[0] < limits["min_slices"]:
        return f"at least {limits['min_slices']:.0f} slices are needed, the series has {volume.hu.shape[0]}"
    if abs(volume.affine[2, 2]) < 0.9 * dz:
        return "axial slices are needed, these are of another orientation"
    return ""


def choose_slices(volume: Volume, limits: Mapping[str, float]) -> range:
    """Indices along Z, evenly spaced, where the lungs are large; empty where no lung field was found.

    ``limits``: ``min_lung_share`` of the largest cross-section of the lungs, ``max_slices`` at most. Apices and bases are left out,
    because the training's slices of "normal" show none.
    """
    lungs = lung_field(volume.hu, volume.spacing_mm)
    if lungs is None:
        return range(0)
    area = lungs.air.sum(axis=(1, 2))
    large = np.flatnonzero(area >= limits["min_lung_share"] * area.max())
    first, last = int(large[0]) * lungs.factor[0], min(volume.hu.shape[0], (int(large[-1]) + 1) * lungs.factor[0])
    return range(first, last, max(1, -(-(last - first) // int(limits["max_slices"]))))
