"""A slice to what the networks see: the lungs alone, on a scale that knows no window, without the marks of a source.

Grey is put on a scale where the lung's median is 0 and soft tissue is 1, so that any linear window gives the same picture;
what is outside of the lungs, and air, is 0; the picture is cropped to the lungs and brought to one size. Two planes come of it:

``fine``    as it is, blurred to one sharpness
``masses``  opened by a disc, so that only what is thicker than a vessel remains: no texture, no noise, no drawn line survives

Whether a slice is normal is judged from ``masses`` alone: "normal" comes from other scanners than the carcinomas.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.lung_histology_ct.lung_field_2d import Grey, Lungs, disc, find_lungs, nd

SHAPE = (96, 128)  # rows, columns of a plane
PLANES = ("fine", "masses")
WORKING_PX = 256  # longest side before anything is looked for
BLUR = 0.005  # sigma, of the lungs' width: one sharpness for all sources
OPENING = 0.03  # radius of the disc, of the lungs' width: about 8 mm, thicker than vessels away from the hilum
FAINT = 0.3  # what is less dense than this between lung and tissue is no mass
BLACK = 3.0  # grey levels from the darkest: a pixel that the window has cut off
HU_WINDOW = (-1000.0, 1500.0)  # what a series is drawn with; the screenshots have about this wide a window


@dataclass(frozen=True, slots=True)
class Prepared:
    """``planes`` (2, 96, 128) uint8; ``box`` (top, left, height, width) of them in the pixels of the slice as it came."""

    planes: npt.NDArray[np.uint8]
    box: tuple[float, float, float, float]


def prepare(grey: npt.NDArray[np.uint8], limits: Mapping[str, float]) -> Prepared | str:
    """One axial slice, (Y, X) uint8, or why it cannot be judged.

    ``limits`` of the card: ``min_side_px``; ``min_contrast``, grey levels between lung and soft tissue; ``max_black``, the share of lung
    that the window may have cut off.
    """
    if min(grey.shape) < limits["min_side_px"]:
        return f"the shorter side has {min(grey.shape)} pixels, {limits['min_side_px']:.0f} are needed"
    small = working(grey)
    lungs = find_lungs(small)
    if lungs is None:
        return "no lungs were found: an axial slice of the whole chest is needed"
    levels = scale_of(small, lungs)
    if isinstance(levels, str):
        return levels
    air, tissue = levels
    if tissue - air < limits["min_contrast"]:
        return f"lung and soft tissue differ by {tissue - air:.0f} grey levels, {limits['min_contrast']:.0f} are needed"
    black = float((small[lungs.air] <= small.min() + BLACK).mean())
    if black > limits["max_black"]:
        return f"the window shows {100 * black:.0f} % of the lungs as black: a lung window or a wide one is needed"
    dense = np.where(lungs.field, np.clip((small - air) / (tissue - air), 0.0, 1.0), 0.0).astype(np.float32)
    soft = nd.gaussian_filter(dense, BLUR * lungs.width)
    opened = nd.grey_opening(soft, footprint=disc(max(1, round(OPENING * lungs.width))))
    rows, columns = np.flatnonzero(lungs.field.any(axis=1)), np.flatnonzero(lungs.field.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    planes = [resized(plane[top:bottom, left:right], SHAPE) for plane in (soft, np.where(opened < FAINT, 0.0, opened))]
    y, x = grey.shape[0] / small.shape[0], grey.shape[1] / small.shape[1]
    packed = np.round(np.clip(np.stack(planes), 0.0, 1.0) * 255).astype(np.uint8)
    return Prepared(packed, (top * y, left * x, (bottom - top) * y, (right - left) * x))


def working(grey: npt.NDArray[np.uint8]) -> Grey:
    """(Y, X) float32 with the longest side at most 256, area-averaged."""
    rows, columns = grey.shape
    scale = WORKING_PX / max(rows, columns)
    if scale >= 1.0:
        return grey.astype(np.float32)
    return resized(grey.astype(np.float32), (max(1, round(rows * scale)), max(1, round(columns * scale))))


def scale_of(grey: Grey, lungs: Lungs) -> tuple[float, float] | str:
    """The grey of lung and of soft tissue: the medians inside the lungs, and of what else is in the box around them."""
    rows, columns = np.flatnonzero(lungs.air.any(axis=1)), np.flatnonzero(lungs.air.any(axis=0))
    beside = np.zeros_like(lungs.air)
    beside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    beside &= ~nd.binary_dilation(lungs.air, iterations=3)
    if beside.sum() < 50:
        return "no soft tissue was found between the lungs"
    return float(np.median(grey[lungs.air])), float(np.median(grey[beside]))


def resized(plane: npt.NDArray[np.float32], shape: tuple[int, int]) -> Grey:
    """(Y, X) float32 to ``shape``; averages where it becomes smaller."""
    image = Image.fromarray(np.asarray(plane, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def drawn(hu: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """(Y, X) HU through ``HU_WINDOW`` to grey."""
    low, high = HU_WINDOW
    return np.round((np.clip(hu.astype(np.float32), low, high) - low) * (255.0 / (high - low))).astype(np.uint8)


def blanked(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The slice with its lungs painted over in their own median grey; all else, window and marks too, stays. As it is where none are found.

    What a model says of it cannot come from the lungs: the proof that the source is gone is asked of these.
    """
    lungs = find_lungs(working(grey))
    if lungs is None:
        return grey
    small = Image.fromarray((lungs.field | lungs.air).astype(np.uint8) * 255)
    inside = np.asarray(small.resize((grey.shape[1], grey.shape[0]), Image.Resampling.NEAREST)) > 0
    out = grey.copy()
    out[inside] = np.uint8(np.median(grey[inside]))
    return out
