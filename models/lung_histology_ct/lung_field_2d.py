"""Finds the lungs on one axial slice in grey levels, by threshold and shape; window, spacing and HU need not be known."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imaging.masks import box_of
from imaging.ndimage import ndimage

Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.float32]

SMALLEST_SHARE = 0.012  # of the image, of one component of lung
MOST_COMPONENTS = 4
LEAST_SHARE = 0.04  # of the image, of all lung
EDGE_SHARE = 0.02  # of the image's border: a component that touches more of it is the air outside of the body
CLOSING = 0.06  # of the lungs' width: radius up to which enclosed tissue and dents belong to the field
LARGEST_HOLE = 0.2  # of a lung: a larger enclosed region is heart, liver or spine
RIM = 0.008  # of the lungs' width, removed because a pixel at the border is half chest wall


@dataclass(frozen=True, slots=True)
class SliceLungs:
    """Masks (Y, X): ``air`` the aerated lung, ``field`` the region that is analysed; ``width`` of both lungs together, in pixels."""

    air: Mask
    field: Mask
    width: int


def find_lungs(grey: Grey) -> SliceLungs | None:
    """The lungs of one slice, (Y, X) with its longest side near 256 pixels; None where there are none.

    Dark components enclosed by the body; each side is closed by itself, so that the heart and the spine between the lungs stay outside.
    """
    rows, columns = grey.shape
    smooth = ndimage.gaussian_filter(grey, 1.0)
    limit = otsu_threshold(smooth[rows // 8 : rows - rows // 8, columns // 8 : columns - columns // 8])
    labels, count = ndimage.label(ndimage.binary_opening(smooth < limit, disc(2)))
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    air = np.zeros(grey.shape, dtype=bool)
    taken = 0
    for index in np.argsort(-sizes, kind="stable"):
        if sizes[index] < SMALLEST_SHARE * grey.size or taken == MOST_COMPONENTS:
            break
        component = labels == index + 1
        border = component[0].sum() + component[-1].sum() + component[:, 0].sum() + component[:, -1].sum()
        if border <= EDGE_SHARE * 2 * (rows + columns):
            air |= component
            taken += 1
    if air.sum() < LEAST_SHARE * grey.size:
        return None
    across = box_of(air)[1]
    width = across.stop - across.start
    field = np.zeros_like(air)
    middle = column_between_lungs(air, across)
    for side in (slice(0, middle), slice(middle, columns)):
        lung = np.zeros_like(air)
        lung[:, side] = air[:, side]
        if lung.any():
            field |= close_lung(lung, CLOSING * width)
    around = box_around(field, 1)
    field[around] = ndimage.distance_transform_edt(field[around]) > RIM * width
    return SliceLungs(air, field, width) if field.any() else None


def column_between_lungs(air: Mask, across: slice) -> int:
    """The column with the least lung in the middle third of the columns ``across``."""
    first, last = across.start, across.stop - 1
    third = (last - first) // 3
    return int(first + third + np.argmin(air.sum(axis=0)[first + third : last - third + 1]))


def box_around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The rows and columns of a mask that is not empty, with a margin, inside its shape."""
    rows, columns = (slice(max(0, side.start - margin), side.stop + margin) for side in box_of(mask))
    return rows, columns


def close_lung(lung: Mask, radius: float) -> Mask:
    """Morphological closing of a mask that is not empty by a disc; small holes are filled."""
    pad = int(radius) + 2
    around = box_around(lung, 0)  # nothing is closed outside of it, and what is open to its border is no hole
    inside = lung[around]
    grown = ndimage.distance_transform_edt(~np.pad(inside, pad)) <= radius
    closed: Mask = (ndimage.distance_transform_edt(grown) > radius)[pad:-pad, pad:-pad] | inside
    labels, count = ndimage.label(ndimage.binary_fill_holes(closed) & ~closed)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    small = np.flatnonzero(sizes < LARGEST_HOLE * inside.sum())
    result = lung.copy()
    result[around] = closed | np.isin(labels, small[small > 0])
    return result


def disc(radius: int) -> Mask:
    """A disc as a structuring element."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius + 0.5)


def otsu_threshold(values: Grey) -> float:
    """The threshold with the largest variance between both sides (Otsu, 1979)."""
    counts, edges = np.histogram(values, 128)
    centres = (edges[1:] + edges[:-1]) / 2
    weight, moment = np.cumsum(counts), np.cumsum(counts * centres)
    inside = np.flatnonzero((weight > 0) & (weight < weight[-1]))
    if len(inside) == 0:
        return float(centres[0])
    w, m = weight[inside].astype(np.float64), moment[inside]
    spread = (moment[-1] * w / weight[-1] - m) ** 2 / (w * (weight[-1] - w))
    return float(centres[inside[int(np.argmax(spread))]])
