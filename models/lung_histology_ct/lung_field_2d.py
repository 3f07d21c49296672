"""The lungs on one axial slice in grey, by threshold and shape: no window, spacing or HU is needed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as _ndimage

nd: Any = _ndimage  # scipy ships no types

Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.float32]

SMALLEST_SHARE = 0.012  # of the image, of one piece of lung
MOST_PIECES = 4
LEAST_SHARE = 0.04  # of the image, of all lung
EDGE_SHARE = 0.02  # of the image's border: a piece that touches more of it is the air outside
CLOSING = 0.06  # of the lungs' width: what is enclosed by lung or dents it, up to this radius, belongs to the field
LARGEST_HOLE = 0.2  # of a lung: what is larger and enclosed is heart, liver or spine
RIM = 0.008  # of the lungs' width, taken off: at the border a pixel is half chest wall


@dataclass(frozen=True, slots=True)
class Lungs:
    """Masks (Y, X): ``air`` the aerated lung, ``field`` what is looked at; ``width`` of both lungs together, in pixels."""

    air: Mask
    field: Mask
    width: int


def find_lungs(grey: Grey) -> Lungs | None:
    """The lungs of one slice, (Y, X) with its longest side near 256 pixels; None where there are none.

    Dark pieces that the body encloses; each side closed by itself, so that the heart and the spine between the lungs stay outside.
    """
    rows, columns = grey.shape
    smooth = nd.gaussian_filter(grey, 1.0)
    limit = otsu(smooth[rows // 8 : rows - rows // 8, columns // 8 : columns - columns // 8])
    labels, count = nd.label(nd.binary_opening(smooth < limit, disc(2)))
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    air = np.zeros(grey.shape, dtype=bool)
    taken = 0
    for index in np.argsort(-sizes, kind="stable"):
        if sizes[index] < SMALLEST_SHARE * grey.size or taken == MOST_PIECES:
            break
        piece = labels == index + 1
        border = piece[0].sum() + piece[-1].sum() + piece[:, 0].sum() + piece[:, -1].sum()
        if border <= EDGE_SHARE * 2 * (rows + columns):
            air |= piece
            taken += 1
    if air.sum() < LEAST_SHARE * grey.size:
        return None
    across = np.flatnonzero(air.any(axis=0))
    width = int(across[-1] - across[0] + 1)
    field = np.zeros_like(air)
    middle = between(air, across)
    for side in (slice(0, middle), slice(middle, columns)):
        lung = np.zeros_like(air)
        lung[:, side] = air[:, side]
        if lung.any():
            field |= closed(lung, CLOSING * width)
    field = nd.distance_transform_edt(field) > RIM * width
    return Lungs(air, field, width) if field.any() else None


def between(air: Mask, across: npt.NDArray[np.intp]) -> int:
    """The column of least lung in the middle third."""
    first, last = int(across[0]), int(across[-1])
    third = (last - first) // 3
    return first + third + int(np.argmin(air.sum(axis=0)[first + third : last - third + 1]))


def closed(lung: Mask, radius: float) -> Mask:
    """Closing by a disc, and small holes filled."""
    pad = int(radius) + 2
    grown = nd.distance_transform_edt(~np.pad(lung, pad)) <= radius
    shut: Mask = (nd.distance_transform_edt(grown) > radius)[pad:-pad, pad:-pad] | lung
    labels, count = nd.label(nd.binary_fill_holes(shut) & ~shut)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    small = np.flatnonzero(sizes < LARGEST_HOLE * lung.sum())
    return shut | np.isin(labels, small[small > 0])


def disc(radius: int) -> Mask:
    """A disc as a structuring element."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius + 0.5)


def otsu(values: Grey) -> float:
    """The threshold of largest variance between the two sides (Otsu, 1979)."""
    counts, edges = np.histogram(values, 128)
    centres = (edges[1:] + edges[:-1]) / 2
    weight, moment = np.cumsum(counts), np.cumsum(counts * centres)
    inside = np.flatnonzero((weight > 0) & (weight < weight[-1]))
    if len(inside) == 0:
        return float(centres[0])
    w, m = weight[inside].astype(np.float64), moment[inside]
    spread = (moment[-1] * w / weight[-1] - m) ** 2 / (w * (weight[-1] - w))
    return float(centres[inside[int(np.argmax(spread))]])
