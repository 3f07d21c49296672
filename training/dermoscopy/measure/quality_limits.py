"""Sets the card's limits of sharpness and exposure from the training images."""

from collections.abc import Sequence

import numpy as np

from models.dermoscopy.quality import measure_quality


def quality_limits(squares: Sequence[np.ndarray]) -> dict[str, float]:
    """Limits of ``check_quality`` from (Y, X, 3) uint8 training images.

    One in a thousand of them is below the limit of sharpness. The limits of exposure are wider, because almost all training images are
    well exposed and show light skin: three times the white of the whitest in a thousand, half the brightness of the darkest in a thousand.
    """
    found = [measure_quality(square) for square in squares]
    sharp, burnt, bright = (np.array([getattr(one, name) for one in found]) for name in ("sharpness", "burnt", "bright"))
    return {
        "min_sharpness": round(float(np.quantile(sharp, 0.001)), 3),
        "max_burnt": round(max(0.03, 3 * float(np.quantile(burnt, 0.999))), 3),
        "min_bright": round(float(np.quantile(bright, 0.001)) / 2, 1),
    }
