"""Converts a photograph to the network's input, in the same way for training and serving.

The two archives of the training data differ in resolution and compression. All images are first reduced to the coarser grid (150 pixels
for the field of view), so that sharpness does not reveal the archive.
"""

import numpy as np
from PIL import Image

COMMON_PX = 150  # the side of the centre square of a 200 x 150 frame


def centre_square(rgb: np.ndarray) -> np.ndarray:
    """The largest centred square of ``rgb`` (Y, X, 3)."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def to_common_grid(rgb: np.ndarray) -> Image.Image:
    """The centre square of ``rgb`` (Y, X, 3) uint8 sRGB, reduced to at most 150 x 150 pixels."""
    image = Image.fromarray(np.ascontiguousarray(centre_square(rgb)))
    if image.width > COMMON_PX:
        image = image.resize((COMMON_PX, COMMON_PX), Image.Resampling.BICUBIC)
    return image


def common_square(rgb: np.ndarray) -> np.ndarray:
    """(Y, X, 3) uint8 sRGB of any size to (150, 150, 3) uint8."""
    image = to_common_grid(rgb)
    if image.width != COMMON_PX:
        image = image.resize((COMMON_PX, COMMON_PX), Image.Resampling.BILINEAR)
    return np.asarray(image)


def resize_square(square: np.ndarray, side: int) -> np.ndarray:
    """(Y, X, 3) uint8 square to (side, side, 3) uint8, bilinear with antialiasing."""
    return square if square.shape[0] == side else np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BILINEAR))
