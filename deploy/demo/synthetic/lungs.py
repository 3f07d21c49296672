"""The shape of the synthetic lungs, as a function of position."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def lung_depth(x: Floats, y: Floats, u: Floats | float) -> Floats:
    """Return how deep a point is inside a lung, as a fraction of the field of view (negative: outside). Arguments are broadcast."""
    reach = np.sqrt(np.clip(1.0 - ((np.asarray(u, np.float32) - 0.42) / 0.54) ** 2, 1e-4, 1.0))
    depth = np.full(np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(u)), -1.0, np.float32)
    for side in (-1.0, 1.0):
        wide, deep = 0.155 * reach, 0.225 * reach
        across, along = (x - side * 0.195) / wide, (y - 0.015) / deep
        inside = (1.0 - np.sqrt(across**2 + along**2)) * np.minimum(wide, deep)
        dome = 0.22 - 3.0 * ((x - side * 0.17) ** 2 + 0.6 * y**2)  # the diaphragm
        depth = np.maximum(depth, np.minimum(inside, (u - dome) * 0.8))
    heart = np.sqrt(((x - 0.05) / 0.135) ** 2 + ((y + 0.07) / 0.12) ** 2 + ((u - 0.3) / 0.24) ** 2)
    return np.minimum(depth, (heart - 1.0) * 0.12).astype(np.float32)
