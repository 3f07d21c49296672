"""Decides whether an image may be classified: its size, its colour, and its distance from the training images.

Each function returns the reason for the report, or "" where the image may be classified.
"""

from collections.abc import Mapping, Sequence

import numpy as np


def check_side(shape: Sequence[int], limits: Mapping[str, float]) -> str:
    """Why an image of ``shape`` (Y, X, ...) is too small, or ""; ``limits``: ``min_side_px``."""
    side = min(shape[:2])
    return f"the shorter side has {side} pixels, {limits['min_side_px']:.0f} are needed" if side < limits["min_side_px"] else ""


def mean_chroma(rgb: np.ndarray) -> float:
    """The mean distance between the strongest and the weakest channel of (Y, X, 3) uint8; 0 is grey."""
    return float((rgb.max(axis=2) - rgb.min(axis=2)).mean())


def check_distance(distance: float, limits: Mapping[str, float], *, image: str, like: str) -> str:
    """Why an image at ``distance`` from the training images is too unlike them, or "".

    ``limits``: ``max_distance``. ``image`` and ``like`` name the image and what it is compared with.
    """
    limit = limits["max_distance"]
    if distance <= limit:
        return ""
    return f"{image} is unlike {like} of the training (distance {distance:.1f}, at most {limit:.1f} is accepted)"
