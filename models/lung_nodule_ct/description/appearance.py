"""What is measured of a nodule's appearance: densities inside, sharpness of its edge, and shape, from its outline on the 1 mm grid."""

import math

import numpy as np
import numpy.typing as npt

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import denormalise
from models.lung_nodule_ct.candidates import Bools, NoduleCandidate
from models.lung_nodule_ct.heat import NoduleHeat

MARGIN = 5  # voxels of 1 mm around the outline
LUNG_HU = -850.0
SOLID_HU, TISSUE_HU = -350.0, -500.0
SMALL_VOXELS = 8
FEATURES = (
    "log_diameter", "hu_10", "hu_50", "hu_90", "hu_highest", "hu_spread", "solid_share", "tissue_share", "rim_gradient", "rim_sharpness",
    "halo", "attached_share", "flatness", "axis_ratio", "fill", "radial_spread",
)  # fmt: skip


def appearance(outlined: NoduleCandidate, heat: NoduleHeat) -> npt.NDArray[np.float64]:
    """The values of `FEATURES` of an outlined nodule; densities in units of 100 HU, lengths in mm, shares 0..1.

    log_diameter: natural logarithm of the diameter over 6 mm; hu_10, hu_50, hu_90: percentiles of the outline without its outer millimetre
    where `SMALL_VOXELS` remain, hu_highest: the highest, hu_spread: standard deviation; solid_share and tissue_share: above -350 and
    -500 HU; rim_gradient: mean gradient at the edge per mm, rim_sharpness: the same over the contrast to lung; halo: mean from 1 to 3 mm
    outside of the edge, above lung; attached_share: of what is 1 to 4 mm outside, the share above -500 HU; flatness and axis_ratio: least
    and middle principal axis over the longest; fill: share of the smallest box that is inside; radial_spread: standard deviation of the
    edge's distance from the centre, over its mean.
    """
    low = [max(0, c - MARGIN) for c in outlined.corner]
    high = [min(n, c + s + MARGIN) for n, c, s in zip(heat.image.shape, outlined.corner, outlined.inside.shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    inside: Bools = np.zeros([b - a for a, b in zip(low, high, strict=True)], dtype=bool)
    inside[tuple(slice(c - a, c - a + n) for a, c, n in zip(low, outlined.corner, outlined.inside.shape, strict=True))] = outlined.inside
    hu = denormalise(heat.image[box]).astype(np.float64)
    eroded: Bools = ndimage.binary_erosion(inside)
    core = eroded if eroded.sum() >= SMALL_VOXELS else inside
    values = hu[core]
    outside_mm = ndimage.distance_transform_edt(~inside)
    rim = (inside & ~eroded) | (~inside & (outside_mm <= 1.0))
    slopes = np.stack(list(np.gradient(hu)))[:, rim]
    gradient = float(np.linalg.norm(slopes, axis=0).mean())
    ring = hu[(outside_mm > 1.0) & (outside_mm <= 3.0)]
    wide = hu[(outside_mm > 1.0) & (outside_mm <= 4.0)]
    p10, p50, p90 = (float(p) for p in np.percentile(values, (10, 50, 90)))
    contrast = max(p90 - LUNG_HU, 100.0)
    return np.array(
        [
            math.log(max(outlined.diameter_mm, 1.0) / 6.0), p10 / 100, p50 / 100, p90 / 100, float(values.max()) / 100,
            float(values.std()) / 100, float((values > SOLID_HU).mean()), float((values > TISSUE_HU).mean()), gradient / 100,
            gradient / contrast, (float(ring.mean()) - LUNG_HU) / 100 if len(ring) else 0.0,
            float((wide > TISSUE_HU).mean()) if len(wide) else 0.0, *_shape(inside, eroded),
        ]
    )  # fmt: skip


def _shape(inside: Bools, eroded: Bools) -> tuple[float, float, float, float]:
    points = np.argwhere(inside).astype(np.float64)
    spread = np.cov(points.T) if len(points) > 3 else np.zeros((3, 3))
    axes = np.sqrt(np.maximum(np.linalg.eigvalsh(spread), 0.0) + 1.0 / 12.0)  # a voxel counts with its width
    edge = np.argwhere(inside & ~eroded) - points.mean(axis=0)
    radii = np.linalg.norm(edge, axis=1)
    spans = np.ptp(points, axis=0) + 1.0
    uneven = float(radii.std() / max(radii.mean(), 0.5))
    return float(axes[0] / axes[2]), float(axes[1] / axes[2]), float(len(points) / spans.prod()), uneven
