"""Finds the lung field of a chest CT by thresholds and shape.

On a coarse grid of about 2 mm: air inside the body, its large components, closed so that vessels and nodules on the pleura are inside,
and with holes filled.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imaging.masks import box_of
from imaging.ndimage import ndimage
from models.ct.isotropic_grid import ResamplingGrid, Spacing

Mask = npt.NDArray[np.bool_]

AIR_HU = -400.0
COARSE_MM = 2.0
CLOSING_MM = 12.0
SMALLEST_LITRES = 0.15
LOWEST_TOTAL_LITRES = 0.4
LARGEST_TOTAL_LITRES = 12.0


@dataclass(frozen=True, slots=True)
class LungField:
    """Coarse masks (Z, Y, X): ``air`` is the aerated lung, ``field`` the same after closing and filling.

    ``factor``: native voxels per coarse voxel along (z, y, x); ``litres``: volume of ``air``.
    """

    air: Mask
    field: Mask
    factor: tuple[int, int, int]
    spacing_mm: Spacing
    litres: float

    def native_box(self, shape: tuple[int, ...], margin_mm: float) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """First and last native index of the box around ``field``, with a margin, inside ``shape``."""
        low, high = [], []
        for axis, side in enumerate(box_of(self.field)):
            margin = int(np.ceil(margin_mm / self.spacing_mm[axis] * self.factor[axis]))
            low.append(max(0, side.start * self.factor[axis] - margin))
            high.append(min(shape[axis] - 1, side.stop * self.factor[axis] - 1 + margin))
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def on_grid(self, mask: Mask, grid: ResamplingGrid) -> Mask:
        """A coarse mask on a fine grid, by the nearest voxel."""
        at = []
        for axis in range(3):
            index = np.round((grid.native_coordinates(axis) + 0.5) / self.factor[axis] - 0.5).astype(np.intp)
            at.append(np.clip(index, 0, mask.shape[axis] - 1))
        return mask[np.ix_(*at)]


def close_by_ball(mask: Mask, radius_mm: float, spacing_mm: Spacing) -> Mask:
    """Morphological closing of a mask that is not empty by a ball, by two distance maps; voxels outside the volume count as background."""
    pad = [int(np.ceil(radius_mm / s)) + 1 for s in spacing_mm]
    box = (slice(None), *box_of(mask)[1:])  # nothing is closed outside of it
    # Slices are repeated at both ends: a scan that ends inside the lung must not lose its last slices.
    wide = np.pad(mask[box], [(pad[0], pad[0]), (0, 0), (0, 0)], mode="edge")
    wide = np.pad(wide, [(0, 0), (pad[1], pad[1]), (pad[2], pad[2])])
    grown = ndimage.distance_transform_edt(~wide, sampling=spacing_mm) <= radius_mm
    shrunk = ndimage.distance_transform_edt(grown, sampling=spacing_mm) > radius_mm
    inner = tuple(slice(p, -p) for p in pad)
    result: Mask = mask.copy()
    result[box] |= shrunk[inner]
    return result


def block_means(hu: npt.NDArray[np.int16], factor: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """Mean of blocks; incomplete blocks at the end are filled with the edge's values."""
    pads = [(0, -n % f) for n, f in zip(hu.shape, factor, strict=True)]
    wide = np.pad(hu, pads, mode="edge") if any(p[1] for p in pads) else hu
    z, y, x = (n // f for n, f in zip(wide.shape, factor, strict=True))
    # in-plane first and without a float copy of the whole series
    plane = np.stack([s.reshape(y, factor[1], x, factor[2]).mean(axis=(1, 3), dtype=np.float32) for s in wide])
    mean: npt.NDArray[np.float32] = plane.reshape(z, factor[0], y, x).mean(axis=1)
    return mean


def _body_mask(coarse: npt.NDArray[np.float32]) -> Mask:
    """The largest dense component with its holes filled slice by slice."""
    dense = ndimage.binary_opening(coarse > -300, iterations=1)
    labels, count = ndimage.label(dense)
    if count == 0:
        return np.zeros(coarse.shape, dtype=bool)
    body = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    filled: Mask = np.stack([ndimage.binary_fill_holes(s) for s in body])
    return filled


def lung_field(hu: npt.NDArray[np.int16], spacing_mm: Spacing) -> LungField | None:
    """The lung field of a chest CT, (Z, Y, X) HU, or None where none is found.

    A component of air counts as lung where it lies inside the body, has at least 0.15 l and is neither a thin sheet nor bowel gas (which
    is emptier than any lung of the same series).
    """
    factor = tuple(max(1, round(COARSE_MM / s)) for s in spacing_mm)
    three = (factor[0], factor[1], factor[2])
    coarse = block_means(hu, three)
    spacing: Spacing = (spacing_mm[0] * three[0], spacing_mm[1] * three[1], spacing_mm[2] * three[2])
    litre = float(np.prod(spacing)) * 1e-6
    air = (coarse < AIR_HU) & _body_mask(coarse)
    air = ndimage.binary_opening(air, iterations=1)
    labels, count = ndimage.label(air)
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * litre
    kept = [i for i in range(1, count + 1) if sizes[i] >= SMALLEST_LITRES]
    boxes = [tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box) for box in ndimage.find_objects(labels)]
    kept = [i for i in kept if ndimage.distance_transform_edt(labels[boxes[i - 1]] == i, sampling=spacing).max() >= 10.0]
    if not kept:
        return None
    tissue = {i: float(np.percentile(coarse[labels == i], 75)) for i in kept}
    main = max(kept, key=lambda i: sizes[i])
    kept = [i for i in kept if i == main or tissue[i] > min(tissue[main] - 80, -960)]
    lung: Mask = np.isin(labels, kept)
    litres = float(lung.sum()) * litre
    if not LOWEST_TOTAL_LITRES <= litres <= LARGEST_TOTAL_LITRES:
        return None
    if tissue[main] < -990:  # only air: a bag, or a phantom without lungs
        return None
    field = close_by_ball(lung, CLOSING_MM, spacing)
    field = np.stack([ndimage.binary_fill_holes(s) for s in field])
    return LungField(lung, field, three, spacing, litres)
