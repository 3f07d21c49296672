"""The typefaces of pictures and of the page, found on this machine."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

# Chinese, Japanese and Korean: Debian's fonts-droid-fallback (Apache 2.0, 4 MB), which the worker's image has.
_EAST_ASIAN_FONTS = (
    Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf"),
    Path("/usr/share/fonts/google-droid-sans-fonts/DroidSansFallbackFull.ttf"),  # Fedora
)


@cache
def font_path(bold: bool = False) -> Path:
    """DejaVu Sans, which matplotlib brings (a free licence): Latin, Greek, Cyrillic and more; no Chinese, Japanese or Korean."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise RuntimeError("matplotlib is not installed; its typeface is needed")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


@cache
def east_asian_font_path() -> Path | None:
    """A typeface for Chinese, Japanese and Korean; None if none is installed."""
    return next((path for path in _EAST_ASIAN_FONTS if path.is_file()), None)


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans of a size in pixels, with the basic layout, which is the same on every machine."""
    return ImageFont.truetype(str(font_path(bold)), size, layout_engine=ImageFont.Layout.BASIC)
