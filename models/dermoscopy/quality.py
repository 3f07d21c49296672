"""Is the image sharp and well exposed? Measured where the network looks: the centre square at 150 pixels, or fewer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.image_maps import nd

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
WHITE = 245  # of the luma: burnt out
FINE_PX, COARSE_PX = 1.0, 3.0
ROUNDING = float((LUMA**2).sum()) / 12  # variance of the luma that rounding to whole numbers alone gives


@dataclass(frozen=True, slots=True)
class Quality:
    """``sharpness``: the fine detail (below 1 pixel) beside the coarser one (1 to 3 pixels), whatever the contrast; ``burnt``: share of
    the pixels that are white; ``bright``: the luma that a tenth of the pixels reaches."""

    sharpness: float
    burnt: float
    bright: float


def quality(square: np.ndarray) -> Quality:
    """Of (Y, X, 3) uint8, the centre square at no more than 150 pixels: before it is enlarged, which is no blur of the photograph."""
    luma = square.astype(np.float32) @ LUMA
    once, more = nd.gaussian_filter(luma, FINE_PX), nd.gaussian_filter(luma, COARSE_PX)
    fine, coarse = float((luma - once).var()), float((once - more).var())
    sharpness = (max(0.0, fine - ROUNDING) / (coarse + ROUNDING)) ** 0.5
    return Quality(sharpness, float((luma >= WHITE).mean()), float(np.quantile(luma, 0.9)))


def limits_of(squares: Sequence[np.ndarray]) -> dict[str, float]:
    """Limits of ``poor``, from training images.

    One in a thousand of them is too blurred. Exposure is given room, because almost all of them are well exposed and show light skin:
    three times the white of the whitest in a thousand, half the brightness of the darkest in a thousand.
    """
    found = [quality(square) for square in squares]
    sharp, burnt, bright = (np.array([getattr(one, name) for one in found]) for name in ("sharpness", "burnt", "bright"))
    return {
        "min_sharpness": round(float(np.quantile(sharp, 0.001)), 3),
        "max_burnt": round(max(0.03, 3 * float(np.quantile(burnt, 0.999))), 3),
        "min_bright": round(float(np.quantile(bright, 0.001)) / 2, 1),
    }


def overexposed(found: Quality, limits: Mapping[str, float]) -> str:
    """Why an image with so much white is not judged, or ""; ``limits``: ``max_burnt``, without which nothing is checked."""
    if found.burnt > limits.get("max_burnt", 1.0):
        return f"the image is over-exposed ({100 * found.burnt:.0f} % of it is white, {100 * limits['max_burnt']:.0f} % is the limit)"
    return ""


def poor(found: Quality, limits: Mapping[str, float]) -> str:
    """Why an image of this quality is not judged, or "".

    ``limits``: ``min_sharpness``, ``max_burnt``, ``min_bright``; a card that has none of them checks none of them.
    """
    white = overexposed(found, limits)
    if white:
        return white
    if found.bright < limits.get("min_bright", 0.0):
        return f"the image is under-exposed (brightness {found.bright:.0f} of 255, {limits['min_bright']:.0f} is needed)"
    if found.sharpness < limits.get("min_sharpness", 0.0):
        return f"the image is too blurred (sharpness {found.sharpness:.3f}, {limits['min_sharpness']:.3f} is needed)"
    return ""
