"""Lightness of the skin around a lesion (individual typology angle), for metrics by skin tone.

A. Chardon, I. Cretois, C. Hourseau, Skin colour typology and suntanning pathways, 1991; the last limit S. Del Bino, F. Bernerd,
Variations in skin colour and the biological consequences of ultraviolet radiation exposure, 2013. Cameras of HAM10000 were not
calibrated, so the angle of an image is an estimate.
"""

import math

import numpy as np

from imaging.ndimage import ndimage

BANDS = (("very light", 55.0), ("light", 41.0), ("intermediate", 28.0), ("tan", 10.0), ("brown", -30.0))  # above the angle; dark below
MARGIN_PX = 6  # around the lesion, because its outline is not exact
LEAST_PX = 200
DARK, WHITE = 30.0, 245.0  # corners and hairs, glare
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])  # sRGB, D65
WHITE_XYZ = np.array([0.95047, 1.0, 1.08883])


def typology_angle(square: np.ndarray, lesion: np.ndarray) -> float:
    """Typology angle in degrees of (Y, X, 3) uint8 sRGB outside the lesion (Y, X) bool; nan where too little skin is visible."""
    rgb = square[~ndimage.binary_dilation(lesion, iterations=MARGIN_PX)].astype(np.float64)
    luma = rgb.mean(axis=1)
    rgb = rgb[(luma > DARK) & (luma < WHITE)]
    if len(rgb) < LEAST_PX:
        return float("nan")
    lightness, yellow = np.median(srgb_to_lab(rgb)[:, [0, 2]], axis=0)
    return math.degrees(math.atan2(lightness - 50.0, yellow)) if yellow > 0 else math.copysign(90.0, lightness - 50.0)


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """(N, 3) sRGB 0..255 to CIE L*a*b* under D65."""
    part = rgb / 255.0
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    t = linear @ TO_XYZ.T / WHITE_XYZ
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def tone(angle: float) -> str:
    """The band of an angle; "unknown" for nan."""
    if math.isnan(angle):
        return "unknown"
    return next((name for name, limit in BANDS if angle > limit), "dark")
