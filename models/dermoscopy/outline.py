"""The lesion's outline on the image's own grid, and its measures. numpy only."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imaging.masks import box_of
from imaging.ndimage import ndimage


@dataclass(frozen=True, slots=True)
class RegionMeasures:
    """Measures of a mask in pixels, and in millimetres where the pixel spacing is known.

    ``border_px`` is the length of the outline; ``roundness`` is 4 pi area / border^2: 1 for a disc, less for a ragged or long shape,
    0 for an empty mask.
    """

    area_px: int
    border_px: float
    roundness: float
    area_mm2: float | None = None
    border_mm: float | None = None


def measure_region(mask: np.ndarray, spacing_mm: tuple[float, float] | None = None) -> RegionMeasures:
    """Area and border of (Y, X) bool; ``spacing_mm`` is the distance between rows and between columns.

    The border is Duda's sum over all 2 x 2 neighbourhoods: straight pieces count a side, corners half a diagonal.
    """
    mask = crop_to_mask(mask)
    area, border = int(mask.sum()), border_length(mask, (1.0, 1.0))
    roundness = 4 * math.pi * area / border**2 if border else 0.0
    if spacing_mm is None:
        return RegionMeasures(area, border, roundness)
    return RegionMeasures(area, border, roundness, area * spacing_mm[0] * spacing_mm[1], border_length(mask, spacing_mm))


def crop_to_mask(mask: np.ndarray) -> np.ndarray:
    """The smallest box of (Y, X) bool that contains all set pixels; no rows where none is set."""
    return mask[box_of(mask)] if mask.any() else mask[:0, :0]


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


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest connected part (4-neighbourhood) of (Y, X) bool with its holes filled."""
    labels, count = ndimage.label(mask)
    if count > 1:
        mask = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(mask), dtype=bool)


def paste_centre_square(square: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (S, S) float32 of the largest centred square of an image of ``shape`` (Y, X) to that image's grid; 0 outside the square."""
    height, width = shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    whole = np.zeros(shape, np.float32)
    grown = Image.fromarray(square.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR)
    whole[top : top + side, left : left + side] = np.asarray(grown)
    return whole


def outline_on_image(logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The mask that (S, S) logits of the centred square describe: (Y, X) bool of ``shape``, one component without holes.

    Components and holes are removed on the small grid, which costs little also where the image is large.
    """
    kept, bound = largest_component(logits > 0), np.abs(logits) + np.float32(1e-3)
    mask = paste_centre_square(np.where(kept, bound, -bound), shape) > 0
    return mask if min(shape) >= len(logits) else largest_component(mask)  # a coarser grid may split the component again
