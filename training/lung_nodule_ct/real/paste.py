"""Pastes a real nodule into another patient's lung, in HU at that series' own resolution.

The nodule with 2 mm around it replaces the lung, its edge fading out; tissue that is denser (a vessel, the wall) stays. The crops have no
slices above and below the nodule, so that it ends in z by fading too.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Float, Index, ResamplingGrid, Spacing, resample
from training.lung_nodule_ct.real.nodule_crops import RealNodule
from training.lung_nodule_ct.synthesis.tissue_noise import Rng

FINE_MM = 0.75
FADE_MM = 2.0
AIRY_HU = -700.0
LUNG_HU = -850
GRAIN_HU = 10.0


@dataclass(frozen=True, slots=True)
class PastedNodule:
    """A real nodule at a native (z, y, x) ``centre`` of another series; ``fold`` of the patient whose nodule it is."""

    centre: Index
    diameter_mm: float
    kind: str
    place: str
    malignancy: float
    fold: int


def isotropic_crop(nodule: RealNodule, rng: Rng) -> tuple[Float, Float, Index]:
    """HU, signed distance in mm to the mask's edge (positive inside) at 0.75 mm, turned at random; and the mask's centre (z, y, x)."""
    pads = ((2, 2), (0, 0), (0, 0))
    mask = np.pad(nodule.mask, pads)
    hu = np.pad(nodule.hu, pads, mode="edge")
    step = (FINE_MM / nodule.spacing_mm[0], FINE_MM / nodule.spacing_mm[1], FINE_MM / nodule.spacing_mm[2])
    shape = tuple(int((n - 1) / s) + 1 for n, s in zip(mask.shape, step, strict=True))
    fine = ResamplingGrid((0.0, 0.0, 0.0), step, (shape[0], shape[1], shape[2]))
    values = resample(hu, fine, smooth=False)
    inside = resample(mask, fine, smooth=False) >= 0.5
    if not inside.any():  # one thin slice between two voxels
        inside = resample(mask, fine, smooth=False) >= 0.25
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    turns = int(rng.integers(4))
    values, distance = np.rot90(values, turns, (1, 2)), np.rot90(distance, turns, (1, 2))
    for axis in range(3):
        if rng.random() < 0.5:
            values, distance = np.flip(values, axis), np.flip(distance, axis)
    z, y, x = np.argwhere(distance > 0).mean(axis=0)
    return np.ascontiguousarray(values), (distance * FINE_MM).astype(np.float32), (float(z), float(y), float(x))


def paste_nodule(hu: npt.NDArray[np.int16], occupied: Float, spacing_mm: Spacing, rng: Rng, nodule: RealNodule, centre: Index) -> None:
    """Paste into ``hu`` (Z, Y, X), and the share of each voxel that is nodule into ``occupied`` (same shape), both in place."""
    values, distance, middle = isotropic_crop(nodule, rng)
    reach = np.argwhere(distance > -FADE_MM)
    low, high = reach.min(axis=0) - 2, reach.max(axis=0) + 2
    first, size = [], []
    for c, m, a, b, s, n in zip(centre, middle, low, high, spacing_mm, hu.shape, strict=True):
        start = max(0, int(np.floor(c + (a - m) * FINE_MM / s)))
        stop = min(n - 1, int(np.ceil(c + (b - m) * FINE_MM / s)))
        first.append(start)
        size.append(max(0, stop - start + 1))
    if min(size) == 0:
        return
    where = tuple(slice(a, a + n) for a, n in zip(first, size, strict=True))
    step = (spacing_mm[0] / FINE_MM, spacing_mm[1] / FINE_MM, spacing_mm[2] / FINE_MM)
    z, y, x = (m + (a - c) * s for m, a, c, s in zip(middle, first, centre, step, strict=True))
    native = ResamplingGrid((z, y, x), step, (size[0], size[1], size[2]))
    padded = ResamplingGrid((z + 4, y + 4, x + 4), step, native.shape)  # beside the crop there is no nodule
    share = resample(np.pad(np.clip(1.0 + distance / FADE_MM, 0.0, 1.0), 4), padded)
    whole = resample(np.pad((distance > 0).astype(np.float32), 4), padded)
    old = hu[where].astype(np.float32)
    grain = rng.normal(0.0, GRAIN_HU, old.shape).astype(np.float32)
    change = resample(values, native) + grain - old
    change = np.where((change > 0) | (old < AIRY_HU), change, 0.0)
    hu[where] = np.clip(np.round(old + share * change), -1024, 3071).astype(np.int16)
    occupied[where] = np.maximum(occupied[where], whole)
