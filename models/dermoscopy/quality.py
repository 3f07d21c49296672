"""Sharpness and exposure of an image, measured where the network looks: in the centre square at 150 pixels, or fewer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imaging.ndimage import ndimage

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
WHITE = 245  # luma from which on a pixel is over-exposed
FINE_PX, COARSE_PX = 1.0, 3.0
ROUNDING = float((LUMA**2).sum()) / 12  # variance of the luma that rounding to whole numbers alone gives


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """``sharpness``: detail below 1 pixel in relation to detail of 1 to 3 pixels, independent of the contrast; ``burnt``: share of the
    pixels that are white; ``bright``: 90th percentile of the luma."""

    sharpness: float
    burnt: float
    bright: float


def measure_quality(square: np.ndarray) -> ImageQuality:
    """Of (Y, X, 3) uint8, the centre square at no more than 150 pixels: not enlarged, because enlarging blurs."""
    luma = square.astype(np.float32) @ LUMA
    once, more = ndimage.gaussian_filter(luma, FINE_PX), ndimage.gaussian_filter(luma, COARSE_PX)
    fine, coarse = float((luma - once).var()), float((once - more).var())
    sharpness = (max(0.0, fine - ROUNDING) / (coarse + ROUNDING)) ** 0.5
    return ImageQuality(sharpness, float((luma >= WHITE).mean()), float(np.quantile(luma, 0.9)))


def check_overexposure(quality: ImageQuality, limits: Mapping[str, float]) -> str:
    """Why an image with that many white pixels must not be classified, or ""; ``limits``: ``max_burnt``, without it nothing is checked."""
    if quality.burnt > limits.get("max_burnt", 1.0):
        return f"the image is over-exposed ({100 * quality.burnt:.0f} % of it is white, {100 * limits['max_burnt']:.0f} % is the limit)"
    return ""


def check_quality(quality: ImageQuality, limits: Mapping[str, float]) -> str:
    """Why an image of this quality must not be classified, or "".

    ``limits``: ``min_sharpness``, ``max_burnt``, ``min_bright``; a limit that the card does not have is not checked.
    """
    overexposed = check_overexposure(quality, limits)
    if overexposed:
        return overexposed
    if quality.bright < limits.get("min_bright", 0.0):
        return f"the image is under-exposed (brightness {quality.bright:.0f} of 255, {limits['min_bright']:.0f} is needed)"
    if quality.sharpness < limits.get("min_sharpness", 0.0):
        return f"the image is too blurred (sharpness {quality.sharpness:.3f}, {limits['min_sharpness']:.3f} is needed)"
    return ""
