"""The picture of a whole slide, from one level, and which parts of it are tissue."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.slide.level import GLASS, SlideLevel

LEAST_SIDE, MAX_SIDE = 1024, 2048  # of the longer side, in pixels: a tile of 224 pixels at 20x has four or more of a slide of 25 mm
LEAST_CHROMA = 20  # of 255: largest less smallest channel. Stained tissue has more, glass, dust and pen of black ink have less.


def draw_overview(level: SlideLevel) -> NDArray[np.uint8]:
    """(Y, X, 3) uint8 of a whole level, with at most `MAX_SIDE` pixels a side.

    Memory: the picture and one tile. Raises `PixelError`.
    """
    matrix = level.matrix
    scale = min(1.0, MAX_SIDE / max(matrix.rows, matrix.columns))
    rows, columns = max(1, round(matrix.rows * scale)), max(1, round(matrix.columns * scale))
    out = np.full((rows, columns, 3), GLASS, np.uint8)
    for down in range(matrix.cells[0]):
        y0, y1 = down * matrix.tile_rows, min((down + 1) * matrix.tile_rows, matrix.rows)
        top, bottom = round(y0 * rows / matrix.rows), round(y1 * rows / matrix.rows)
        for across in range(matrix.cells[1]):
            tile = level.tile((down, across))
            x0, x1 = across * matrix.tile_columns, min((across + 1) * matrix.tile_columns, matrix.columns)
            left, right = round(x0 * columns / matrix.columns), round(x1 * columns / matrix.columns)
            if tile is None or top == bottom or left == right:
                continue
            part = tile[: y1 - y0, : x1 - x0]
            if part.shape[:2] != (bottom - top, right - left):
                part = np.asarray(Image.fromarray(part).resize((right - left, bottom - top), Image.Resampling.BOX))
            out[top:bottom, left:right] = part
    return out


def tissue_pixels(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(Y, X) bool: pixels with a chroma, largest less smallest channel, of at least `LEAST_CHROMA`."""
    tissue: NDArray[np.bool_] = rgb.max(axis=2) - rgb.min(axis=2) >= LEAST_CHROMA
    return tissue
