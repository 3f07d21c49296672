"""Where an answer comes from and how large the thing is: maps on the image's own grid, and measures of a mask. numpy only."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage as _ndimage

nd: Any = _ndimage  # scipy ships no types


@dataclass(frozen=True, slots=True)
class Region:
    """What is measured of a mask, in pixels, and in millimetres where the image says how large a pixel is.

    ``border_px`` is the length of the outline; ``roundness`` 4 pi area / border^2, 1 for a disc and less for a ragged
    or long shape, 0 for nothing.
    """

    area_px: int
    border_px: float
    roundness: float
    area_mm2: float | None = None
    border_mm: float | None = None


def measure_region(mask: np.ndarray, spacing_mm: tuple[float, float] | None = None) -> Region:
    """Area and border of (Y, X) bool; ``spacing_mm`` is the distance between rows and between columns.

    The border is Duda's sum over all 2 x 2 neighbourhoods: straight pieces count a side, corners half a diagonal.
    """
    mask = boxed(mask)
    area, border = int(mask.sum()), border_length(mask, (1.0, 1.0))
    roundness = 4 * math.pi * area / border**2 if border else 0.0
    if spacing_mm is None:
        return Region(area, border, roundness)
    return Region(area, border, roundness, area * spacing_mm[0] * spacing_mm[1], border_length(mask, spacing_mm))


def boxed(mask: np.ndarray) -> np.ndarray:
    """The smallest box of (Y, X) bool that holds all that is set."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else mask[:0, :0]


def border_length(mask: np.ndarray, spacing: tuple[float, float]) -> float:
    """Length of the outline of (Y, X) bool in the unit of ``spacing`` (between rows, between columns)."""
    padded = np.pad(mask.astype(np.int8), 1)
    above_left, above_right = padded[:-1, :-1], padded[:-1, 1:]
    below_left, below_right = padded[1:, :-1], padded[1:, 1:]
    count = above_left + above_right + below_left + below_right
    two = count == 2
    across = int((two & (above_left == above_right)).sum())  # the outline runs along a row
    along = int((two & (above_left == below_left)).sum())
    crossing = int((two & (above_left == below_right)).sum())  # two pixels that touch in a corner
    corners = int(((count == 1) | (count == 3)).sum()) + 2 * crossing
    return across * spacing[1] + along * spacing[0] + corners * math.hypot(*spacing) / 2


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest connected part (by sides) of (Y, X) bool, its holes filled."""
    labels, count = nd.label(mask)
    if count > 1:
        mask = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return np.asarray(nd.binary_fill_holes(mask), dtype=bool)


def on_square(square: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(S, S) float32 of the largest centred square of an image of ``shape`` (Y, X) to that image's grid, bilinear, 0 outside."""
    height, width = shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    whole = np.zeros(shape, np.float32)
    grown = Image.fromarray(square.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR)
    whole[top : top + side, left : left + side] = np.asarray(grown)
    return whole


def one_piece(logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The outline that (S, S) logits of the centred square draw: (Y, X) bool on the grid of ``shape``, one part without holes.

    Parts and holes are sorted out on the small grid, which costs little on a large image.
    """
    kept, bound = largest_part(logits > 0), np.abs(logits) + np.float32(1e-3)
    mask = on_square(np.where(kept, bound, -bound), shape) > 0
    return mask if min(shape) >= len(logits) else largest_part(mask)  # a grid that is coarser may cut it once more


def to_unit(heat: np.ndarray) -> np.ndarray:
    """float32 scaled to 0..1 by its maximum; what is negative, and a map of nothing, is 0."""
    positive = np.maximum(heat, 0.0).astype(np.float32)
    top = float(positive.max(initial=0.0))
    return np.asarray(positive / np.float32(top)) if top > 0 else positive
