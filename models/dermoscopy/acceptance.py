"""Decides whether an image may be classified; an image that may not gets the reason in the report."""

from collections.abc import Mapping

import numpy as np

from models.classifier.acceptance import check_distance, check_side, mean_chroma
from models.dermoscopy.preprocess import COMMON_PX, centre_square, reduced_square
from models.dermoscopy.quality import check_overexposure, check_quality, measure_quality


def check_photograph(rgb: np.ndarray, limits: Mapping[str, float]) -> str:
    """Why (Y, X, 3) uint8 must not be classified, or ""; ``limits`` as in ``check_colour``, ``check_quality``."""
    quality = measure_quality(reduced_square(rgb, COMMON_PX))
    # Over-exposure comes first, because an over-exposed photograph is grey and uniform as well.
    return check_overexposure(quality, limits) or check_colour(rgb, limits) or check_quality(quality, limits)


def check_colour(rgb: np.ndarray, limits: Mapping[str, float]) -> str:
    """Why (Y, X, 3) uint8 is plainly not a dermoscopy image, or "".

    ``limits``: ``min_side_px``; ``min_contrast``, the standard deviation of the luma in the centre square; ``min_chroma``, the mean
    distance between the strongest and the weakest channel there (0 is grey).
    """
    if too_small := check_side(rgb.shape, limits):
        return too_small
    step = max(1, min(rgb.shape[:2]) // 128)
    square = centre_square(rgb)[::step, ::step]
    contrast = float((square.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).std())
    if contrast < limits["min_contrast"]:
        return f"the image is nearly uniform (contrast {contrast:.1f}, {limits['min_contrast']:.1f} is needed)"
    chroma = mean_chroma(square)
    if chroma < limits["min_chroma"]:
        return f"the image is nearly grey (chroma {chroma:.1f}, {limits['min_chroma']:.1f} is needed): no dermoscopy colour image"
    return ""


def check_networks(distance: float, outline: np.ndarray, limits: Mapping[str, float]) -> str:
    """Why an image must not be classified, by what the networks say of it, or "".

    ``distance`` from the training images; ``outline`` (Y, X) logits of a lesion. ``limits``: ``max_distance``; ``min_outline``, the
    probability that the surest pixel of the outline needs: on plain skin nothing is outlined, or nothing with certainty. A card without
    ``min_outline`` is of an earlier version; it is not checked then.
    """
    unlike = check_distance(distance, limits, image="the image", like="the dermoscopy images")
    if unlike or "min_outline" not in limits:
        return unlike
    surest = float(1 / (1 + np.exp(-outline.max())))
    if surest < limits["min_outline"]:
        return f"no lesion was found (the outline's highest probability is {surest:.2f}, {limits['min_outline']:.2f} is needed)"
    return ""
