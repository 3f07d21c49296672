"""Stored colour samples to RGB (PS3.3 C.7.6.3.1.2), from the codestream where the photometric interpretation contradicts it."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from core.errors import PixelError
from imaging.pixels.codestream import Codestream
from imaging.pixels.pixel_spec import PixelSpec
from imaging.wire.transfer_syntaxes import JPEG_2000, JPEG_WITH_LOSS

Rgb = NDArray[np.uint8]
_YBR = frozenset({"YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
_ICC_INTENT = ImageCms.Intent.PERCEPTUAL
COLOUR_ONLY = 'the model is for colour images: its card has grey = "refuse" (of an imported model: [input] of about.toml)'


def to_rgb(ds: Dataset, spec: PixelSpec, values: NDArray[np.generic], stream: Codestream | None, notes: list[str]) -> Rgb:
    """One frame, (Y, X) or (Y, X, 3) stored values, to (Y, X, 3) uint8 RGB. Raises `PixelError` for an image without colour."""
    kind = spec.photometric
    if kind == "PALETTE COLOR":
        return _apply_palette(ds, values)
    if spec.samples != 3:
        raise PixelError(f"a colour image is expected, {kind} came", hint=COLOUR_ONLY)
    if kind != "RGB" and kind not in _YBR:
        raise PixelError(f"RGB, YBR_FULL, YBR_FULL_422, YBR_ICT, YBR_RCT or PALETTE COLOR expected, {kind[:16]} came")
    eight = _to_eight_bits(values, spec.bits_stored)
    return ybr_to_rgb(eight) if _is_ybr(spec, stream, notes) else eight


def _is_ybr(spec: PixelSpec, stream: Codestream | None, notes: list[str]) -> bool:
    """Whether the decoded samples are YCbCr. The codestream decides if it states a colour space, because the header is often wrong."""
    declared = spec.photometric in _YBR
    if stream is None:
        return declared
    if spec.transfer_syntax_uid in JPEG_2000:
        # The codec has undone the stream's own transform (ICT, RCT); YBR_FULL without one is stored as it is.
        if spec.photometric == "YBR_FULL_422" and not stream.colour_transform:  # some writers keep what a JPEG of the same image said
            notes.append("the header says YBR_FULL_422, which does not go with JPEG 2000: the colours may be wrong")
        return declared and not stream.colour_transform and spec.photometric in ("YBR_FULL", "YBR_FULL_422")
    if spec.transfer_syntax_uid not in JPEG_WITH_LOSS:
        return declared
    actual = stream.is_ycbcr
    if actual is None:
        return declared
    if actual != declared:
        notes.append(f"the header says {spec.photometric}, the JPEG stream is {'YCbCr' if actual else 'RGB'}: the stream was used")
    return actual


def ybr_to_rgb(values: Rgb) -> Rgb:
    """Full-range YCbCr to RGB, (..., 3) uint8 (PS3.3 C.7.6.3.1.2, ITU-R BT.601)."""
    image = Image.frombytes("YCbCr", (values.shape[1], values.shape[0]), np.ascontiguousarray(values).tobytes())
    return np.asarray(image.convert("RGB"))


def _to_eight_bits(values: NDArray[np.generic], bits: int) -> Rgb:
    """Fewer bits are stretched to 0..255, of more bits the highest eight are taken."""
    if bits == 8:
        return np.ascontiguousarray(values, np.uint8)
    if bits < 8:
        stretched: NDArray[np.float32] = np.rint(values.astype(np.float32) * np.float32(255 / ((1 << bits) - 1)))
        return stretched.astype(np.uint8)
    return (values.astype(np.uint64) >> np.uint64(bits - 8)).astype(np.uint8)


def _apply_palette(ds: Dataset, values: NDArray[np.generic]) -> Rgb:
    """Palette colours of (Y, X) stored values."""
    try:
        rgb = apply_color_lut(values.astype(values.dtype.newbyteorder("=")), ds)
    except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
        raise PixelError(f"the palette cannot be applied: {type(error).__name__}") from error
    if rgb.dtype == np.uint8:
        return np.ascontiguousarray(rgb[..., :3], np.uint8)
    # 16-bit entries with an empty high byte hold 8-bit values: PS3.3 C.7.6.3.1.5 forbids it, and devices write it.
    shifted: NDArray[np.integer] = rgb[..., :3] >> (8 if rgb.max() > 255 else 0)
    return shifted.astype(np.uint8)


def apply_icc(rgb: Rgb, profile: bytes, notes: list[str]) -> Rgb:
    """Convert to sRGB by the image's own ICC profile (PS3.3 C.11.15); unchanged, with a note, if the profile is not usable."""
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return rgb
        image = ImageCms.profileToProfile(Image.fromarray(rgb), source, ImageCms.createProfile("sRGB"), renderingIntent=_ICC_INTENT)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("the ICC profile is not usable: colours taken as sRGB")
        return rgb
    notes.append("the ICC profile was applied")
    return np.asarray(image)
