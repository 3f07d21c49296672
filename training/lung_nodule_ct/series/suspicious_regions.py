"""Finds regions of a real lung that may be nodules, so that they are not used as negatives.

The real series have no labels. Regions that are compact, denser than lung, thicker than a peripheral vessel and mostly surrounded by
aerated lung are excluded from the loss and from the count of false positives. This excludes some vessels too, which is the safer error;
regions above 40 mm and those inside the mediastinum stay negatives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import STEP_MM, Float, Index, ResamplingGrid, resample
from models.ct.lung_field import LungField, Mask
from training.lung_nodule_ct.series.reviewed_regions import REACH_MM

DENSE_HU = -650.0
THICK_MM = 2.6  # opening radius: nothing thinner than about 5 mm survives
MARGIN_MM = 3.0
LONGEST_RATIO = 3.0
LARGEST_MM = 40.0
LEAST_AIR = 0.4


@dataclass(frozen=True, slots=True)
class SuspiciousRegions:
    """``mask`` (Z, Y, X) on ``grid`` (1 mm); ``centres`` native (z, y, x); ``diameters_mm`` of equal volume."""

    mask: Mask
    grid: ResamplingGrid
    centres: tuple[Index, ...]
    diameters_mm: tuple[float, ...]


def _elongation(points: npt.NDArray[np.intp]) -> float:
    """Ratio of the longest to the middle axis of a region: large for a vessel, near 1 for a nodule."""
    if len(points) < 8:
        return 1.0
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 0.1))
    return float(values[2] / values[1])


def _bordering_air(values: Float, labels: npt.NDArray[np.int32], index: int, box: tuple[slice, ...]) -> float:
    """Share of aerated lung (below -600 HU) in a shell 2 to 4 mm around a region."""
    wide = tuple(slice(max(0, s.start - 5), s.stop + 5) for s in box)
    distance = ndimage.distance_transform_edt(labels[wide] != index)
    shell = (distance > 2.0) & (distance <= 4.0)
    return float((values[wide][shell] < -600.0).mean())


def find_suspicious_regions(
    hu: npt.NDArray[np.int16], lungs: LungField, grid: ResamplingGrid, anatomy: Sequence[Index] = ()
) -> SuspiciousRegions:
    """Compact dense regions inside the lung field, at 1 mm, without those at ``anatomy`` (native (z, y, x))."""
    values: Float = ndimage.gaussian_filter(resample(hu, grid), 0.8)
    inside = lungs.on_grid(lungs.field, grid) & (ndimage.distance_transform_edt(lungs.on_grid(lungs.field, grid)) > 1.5)
    dense = (values > DENSE_HU) & inside
    core = ndimage.distance_transform_edt(dense) > THICK_MM
    opened = (ndimage.distance_transform_edt(~core) <= THICK_MM) & dense
    labels, count = ndimage.label(opened)
    keep = np.zeros(count + 1, dtype=bool)
    centres, diameters = [], []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        points = np.argwhere(labels[box] == index)
        if len(points) < 30 or _elongation(points) > LONGEST_RATIO:
            continue
        diameter = float((6 * len(points) / np.pi) ** (1 / 3))
        if diameter > LARGEST_MM or _bordering_air(values, labels, index, box) < LEAST_AIR:
            continue
        z, y, x = points.mean(axis=0) + [s.start for s in box]
        if any(np.linalg.norm(np.subtract(grid.from_native(place), (z, y, x))) * STEP_MM < REACH_MM for place in anatomy):
            continue
        keep[index] = True
        centres.append(grid.to_native((float(z), float(y), float(x))))
        diameters.append(diameter)
    mask = keep[labels]
    grown: Mask = ndimage.distance_transform_edt(~mask) <= MARGIN_MM
    return SuspiciousRegions(grown, grid, tuple(centres), tuple(diameters))
