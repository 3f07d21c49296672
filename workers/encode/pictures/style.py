"""Typeface and colours. The colours are told apart by colour-blind readers too, and none carries a meaning alone."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

Rgb = tuple[int, int, int]

GROUND: Rgb = (16, 20, 24)
INK: Rgb = (236, 239, 242)
MUTED: Rgb = (164, 174, 184)
WARNING: Rgb = (240, 178, 50)
OUTLINE: Rgb = (86, 220, 255)
BLACK: Rgb = (0, 0, 0)
HEAT_FROM = 0.1  # below it nothing is painted: a veil over the whole image would hide it
HEAT_OPAQUE = 0.4  # from here on the colour covers as much as it ever does
HEAT_COVER = 0.55


@cache
def font_path(bold: bool = False) -> Path:
    """DejaVu Sans as matplotlib ships it (a free licence): Latin, Greek, Cyrillic and more; no Chinese, Japanese or Korean."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise RuntimeError("matplotlib is not installed, and the typeface comes with it")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


# Chinese, Japanese and Korean; Debian's fonts-droid-fallback (Apache 2.0, 4 MB), which the worker's image has.
_EAST_ASIAN = (
    Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"),
    Path("/usr/share/fonts/google-droid-sans-fonts/DroidSansFallbackFull.ttf"),  # Fedora and its kin
)


@cache
def east_asian_path() -> Path | None:
    """A typeface for Chinese, Japanese and Korean; None where none is installed."""
    return next((path for path in _EAST_ASIAN if path.is_file()), None)


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The typeface in pixels; the basic layout, which is the same on every machine."""
    return ImageFont.truetype(str(font_path(bold)), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def _colours() -> NDArray[np.float32]:
    """(256, 3) of a colour map whose lightness grows evenly: more evidence is brighter, in grey too."""
    from matplotlib import colormaps

    table = colormaps["viridis"](np.linspace(0.0, 1.0, 256))[:, :3]
    return (table * 255).astype(np.float32)


def painted(rgb: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(Y, X, 3) uint8 with the heat (Y, X) 0..1 over it; where there is none the image stays as it is."""
    seen = heat > HEAT_FROM
    warm = heat[seen]
    colour = _colours()[np.round(np.clip(warm, 0, 1) * 255).astype(np.intp)]
    cover = HEAT_COVER * np.clip((warm - HEAT_FROM) / (HEAT_OPAQUE - HEAT_FROM), 0, 1)[..., None]
    result = rgb.copy()
    result[seen] = np.round(rgb[seen] * (1 - cover) + colour * cover)
    return result


def legend(width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3): the colours from 0 to 1 from left to right, as they look over middle grey."""
    ramp = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
    return painted(np.full((height, width, 3), 128, np.uint8), np.ascontiguousarray(ramp))
