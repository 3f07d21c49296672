"""Converts a photograph to the network's input, in the same way for training and serving.

The two archives of HAM10000 differ in resolution and compression. For the networks that were trained on HAM10000 alone all images are first
reduced to the coarser grid (150 pixels for the field of view), so that sharpness does not reveal the archive. The network with ImageNet
weights sees up to 224 pixels: its loss takes the archive into account instead.
"""

import numpy as np
from PIL import Image

COMMON_PX = 150  # the side of the centre square of a 200 x 150 frame
FINE_PX = 224  # the side of the finer archive's images


def centre_square(rgb: np.ndarray) -> np.ndarray:
    """The largest centred square of ``rgb`` (Y, X, 3)."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def reduced_square(rgb: np.ndarray, most_px: int) -> np.ndarray:
    """The centre square of ``rgb`` (Y, X, 3) uint8 sRGB, reduced to at most ``most_px`` pixels a side, never enlarged."""
    image = Image.fromarray(np.ascontiguousarray(centre_square(rgb)))
    if image.width > most_px:
        image = image.resize((most_px, most_px), Image.Resampling.BICUBIC)
    return np.asarray(image)


def common_square(rgb: np.ndarray) -> np.ndarray:
    """(Y, X, 3) uint8 sRGB of any size to (150, 150, 3) uint8."""
    return resize_square(reduced_square(rgb, COMMON_PX), COMMON_PX)


def fine_square(rgb: np.ndarray) -> np.ndarray:
    """(Y, X, 3) uint8 sRGB of any size to (224, 224, 3) uint8, bicubic."""
    square = reduced_square(rgb, FINE_PX)
    if square.shape[0] == FINE_PX:
        return square
    return np.asarray(Image.fromarray(square).resize((FINE_PX, FINE_PX), Image.Resampling.BICUBIC))


def resize_square(square: np.ndarray, side: int) -> np.ndarray:
    """(Y, X, 3) uint8 square to (side, side, 3) uint8, bilinear with antialiasing."""
    return square if square.shape[0] == side else np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BILINEAR))
