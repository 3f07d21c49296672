"""Converts a slice to the networks' input: the lungs alone, on a scale that does not depend on the window, without marks of a source.

Grey is put on a scale where the lung's median is 0 and soft tissue is 1, so that any linear window gives the same picture; pixels
outside of the lungs, and air, are 0; the picture is cropped to the lungs and resized. Two planes are made of it:

``fine``    blurred to one sharpness
``masses``  opened by a disc, so that only structures thicker than a vessel remain: no texture, noise or drawn line

The probability of normal is computed from ``masses`` alone, because the normal slices come from other scanners than the carcinomas.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from imaging.masks import box_of
from imaging.ndimage import ndimage
from models.classifier.acceptance import check_side
from models.lung_histology_ct.lung_field_2d import Grey, SliceLungs, disc, find_lungs

SHAPE = (96, 128)  # rows, columns of a plane
PLANES = ("fine", "masses")
WORKING_PX = 256  # longest side of the picture in which the lungs are searched
BLUR = 0.005  # sigma, of the lungs' width: one sharpness for all sources
OPENING = 0.03  # radius of the disc, of the lungs' width: about 8 mm, thicker than vessels away from the hilum
FAINT = 0.3  # on the scale from lung to tissue: the least density of a mass
BLACK = 3.0  # grey levels from the darkest: such a pixel is below the window
HU_WINDOW = (-1000.0, 1500.0)  # the window for series; the screenshots of the training have about this width


@dataclass(frozen=True, slots=True)
class PreparedSlice:
    """``planes`` (2, 96, 128) uint8; ``box`` (top, left, height, width) of them in the pixels of the slice as it came."""

    planes: npt.NDArray[np.uint8]
    box: tuple[float, float, float, float]


def prepare_slice(grey: npt.NDArray[np.uint8], limits: Mapping[str, float]) -> PreparedSlice | str:
    """One axial slice, (Y, X) uint8, as the networks see it, or why it cannot be analysed.

    ``limits`` of the card: ``min_side_px``; ``min_contrast``, grey levels between lung and soft tissue; ``max_black``, the largest share
    of lung that may be below the window.
    """
    if too_small := check_side(grey.shape, limits):
        return too_small
    small = reduce_to_working_size(grey)
    lungs = find_lungs(small)
    if lungs is None:
        return "no lungs were found: an axial slice of the whole chest is needed"
    levels = grey_levels(small, lungs)
    if isinstance(levels, str):
        return levels
    air, tissue = levels
    if tissue - air < limits["min_contrast"]:
        return f"lung and soft tissue differ by {tissue - air:.0f} grey levels, {limits['min_contrast']:.0f} are needed"
    black = float((small[lungs.air] <= small.min() + BLACK).mean())
    if black > limits["max_black"]:
        return f"the window shows {100 * black:.0f} % of the lungs as black: a lung window or a wide one is needed"
    dense = np.where(lungs.field, np.clip((small - air) / (tissue - air), 0.0, 1.0), 0.0).astype(np.float32)
    soft = ndimage.gaussian_filter(dense, BLUR * lungs.width)
    opened = ndimage.grey_opening(soft, footprint=disc(max(1, round(OPENING * lungs.width))))
    rows, columns = box_of(lungs.field)
    planes = [resize_plane(plane[rows, columns], SHAPE) for plane in (soft, np.where(opened < FAINT, 0.0, opened))]
    y, x = grey.shape[0] / small.shape[0], grey.shape[1] / small.shape[1]
    packed = np.round(np.clip(np.stack(planes), 0.0, 1.0) * 255).astype(np.uint8)
    size = ((rows.stop - rows.start) * y, (columns.stop - columns.start) * x)
    return PreparedSlice(packed, (rows.start * y, columns.start * x, *size))


def reduce_to_working_size(grey: npt.NDArray[np.uint8]) -> Grey:
    """(Y, X) float32 with the longest side at most 256, area-averaged."""
    rows, columns = grey.shape
    scale = WORKING_PX / max(rows, columns)
    if scale >= 1.0:
        return grey.astype(np.float32)
    return resize_plane(grey.astype(np.float32), (max(1, round(rows * scale)), max(1, round(columns * scale))))


def grey_levels(grey: Grey, lungs: SliceLungs) -> tuple[float, float] | str:
    """The grey of lung and of soft tissue: the medians inside the lungs and of the other pixels in the box around them; or why not."""
    beside = np.zeros_like(lungs.air)
    beside[box_of(lungs.air)] = True
    beside &= ~ndimage.binary_dilation(lungs.air, iterations=3)
    if beside.sum() < 50:
        return "no soft tissue was found between the lungs"
    return float(np.median(grey[lungs.air])), float(np.median(grey[beside]))


def resize_plane(plane: npt.NDArray[np.float32], shape: tuple[int, int]) -> Grey:
    """(Y, X) float32 to ``shape``; pixels are averaged where the plane becomes smaller."""
    image = Image.fromarray(np.asarray(plane, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def window_hu(hu: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """(Y, X) HU through ``HU_WINDOW`` to grey."""
    low, high = HU_WINDOW
    return np.round((np.clip(hu.astype(np.float32), low, high) - low) * (255.0 / (high - low))).astype(np.uint8)


def blank_lungs(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The slice with its lungs painted in their own median grey; unchanged where no lungs are found.

    A prediction for such a slice cannot come from the lungs: the training measures on them whether the data source can be recognised.
    """
    lungs = find_lungs(reduce_to_working_size(grey))
    if lungs is None:
        return grey
    small = Image.fromarray((lungs.field | lungs.air).astype(np.uint8) * 255)
    inside = np.asarray(small.resize((grey.shape[1], grey.shape[0]), Image.Resampling.NEAREST)) > 0
    blanked = grey.copy()
    blanked[inside] = np.uint8(np.median(grey[inside]))
    return blanked
