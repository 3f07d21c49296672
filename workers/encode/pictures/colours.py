"""Colours of pictures, and the overlay of heat maps. The colours can be told apart by colour-blind readers; none alone has a meaning."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[int, int, int]

BACKGROUND: Rgb = (16, 20, 24)
INK: Rgb = (236, 239, 242)
MUTED: Rgb = (164, 174, 184)
WARNING: Rgb = (240, 178, 50)
OUTLINE: Rgb = (86, 220, 255)
BLACK: Rgb = (0, 0, 0)
# Of the segments of a segmentation in turn: that of outlines in pictures, then those of Okabe and Ito (2008, jfly.uni-koeln.de/color).
SEGMENTS: tuple[Rgb, ...] = (
    OUTLINE, (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178),
)  # fmt: skip
HEAT_FROM = 0.1  # lower values are not painted, so that the image stays visible
HEAT_OPAQUE = 0.4  # from this value on the colour has its greatest opacity
HEAT_COVER = 0.55  # the greatest opacity
VIRIDIS = Path(__file__).with_name("viridis.npy")


@cache
def _heat_colours() -> NDArray[np.float32]:
    """(256, 3) float32, 0 to 255, of viridis, whose lightness grows evenly, so that higher values are brighter in grey too.

    The table (CC0) is in a file: an import of matplotlib for it takes 0.6 s of processor time.
    """
    table: NDArray[np.float32] = np.load(VIRIDIS)
    return table


def overlay_heat(rgb: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(Y, X, 3) uint8 with a heat map (Y, X) from 0 to 1 over it; unchanged where the map is low."""
    painted = heat > HEAT_FROM
    values = heat[painted]
    colour = _heat_colours()[np.round(np.clip(values, 0, 1) * 255).astype(np.intp)]
    opacity = HEAT_COVER * np.clip((values - HEAT_FROM) / (HEAT_OPAQUE - HEAT_FROM), 0, 1)[..., None]
    result = rgb.copy()
    result[painted] = np.round(rgb[painted] * (1 - opacity) + colour * opacity)
    return result


def heat_legend(width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: the colours of 0 to 1 from left to right, as they look over middle grey."""
    ramp = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
    return overlay_heat(np.full((height, width, 3), 128, np.uint8), np.ascontiguousarray(ramp))
