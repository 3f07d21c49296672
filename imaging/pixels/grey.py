"""Stored grey samples to the values that a person sees: rescale, window, inversion (PS3.3 C.7.6.3.1.2, C.11.1, C.11.2)."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_windowing

from core.errors import PixelError
from imaging.pixels.pixel_spec import PixelSpec
from imaging.wire.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


def to_grey_rgb(ds: Dataset, spec: PixelSpec, values: NDArray[np.generic], notes: list[str]) -> NDArray[np.uint8]:
    """One frame, (Y, X) stored values, to (Y, X, 3) uint8 with three equal channels.

    The first window or look-up table of the header is applied. Without one an image of 8 bits or fewer is shown as it is, and of one of
    more bits, or with a sign, the range from the lowest to the highest value, with a note; padding, which is no part of the image, is left
    out of the range and black. Raises `PixelError` where the tables of the header cannot be applied.
    """
    if spec.photometric not in MONOCHROME:
        raise PixelError(f"a grey or colour image is expected, {spec.photometric[:16]} came")
    try:
        rescaled = apply_modality_lut(values, ds)
        if table := ds.get("VOILUTSequence"):
            order = ">" if spec.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
            shown = _look_up(table[0], rescaled, words=f"{order}u2")
        else:
            shown = np.asarray(apply_windowing(rescaled, ds, index=0), np.float64)
    except (ValueError, AttributeError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise PixelError(f"the grey values cannot be shown by the header's tables: {type(error).__name__}") from error
    header_range = _range_of_header(ds, spec)
    padding = _padding(ds, values) if header_range is None else None
    low, high = _range_of_image(shown, padding, notes) if header_range is None else header_range
    scaled = np.clip((shown - low) / max(high - low, 1e-9), 0.0, 1.0)
    if spec.photometric == "MONOCHROME1":
        scaled = 1.0 - scaled
    if padding is not None:
        scaled[padding] = 0.0
    return np.repeat(np.rint(scaled * 255).astype(np.uint8)[..., None], 3, axis=2)


def _look_up(table: Dataset, values: NDArray[np.generic], *, words: str) -> NDArray[np.float64]:
    """Values of a VOI LUT (C.11.2.1.1). ``words``: dtype of table data of VR OW, whose bytes are as they were stored.

    pydicom's ``apply_voi`` computes the index of an 8-bit table with 8 bits.
    """
    entries, first, _ = (int(value) for value in table.LUTDescriptor)
    stored = table.LUTData
    data = np.frombuffer(stored, words) if isinstance(stored, bytes) else np.asarray(stored)
    index = np.clip(values.astype(np.int64) - first, 0, min(entries or 1 << 16, len(data)) - 1)
    return np.asarray(data[index], np.float64)


def _range_of_header(ds: Dataset, spec: PixelSpec) -> tuple[float, float] | None:
    """The values that become black and white by the tables of the header, or of 8 bits; None where nothing says it."""
    if table := ds.get("VOILUTSequence"):
        return 0.0, float(2 ** int(table[0].LUTDescriptor[2]) - 1)
    if "WindowWidth" in ds and "WindowCenter" in ds:
        return _window_output_range(ds, spec)
    if spec.bits_stored <= 8 and "ModalityLUTSequence" not in ds and not spec.signed:
        return _window_output_range(ds, spec)
    return None


def _range_of_image(shown: NDArray[np.float64], padding: NDArray[np.bool_] | None, notes: list[str]) -> tuple[float, float]:
    notes.append("the header has no window: the range from the lowest to the highest value was used")
    inside = shown if padding is None or padding.all() else shown[~padding]
    return float(inside.min()), float(inside.max())


def _padding(ds: Dataset, values: NDArray[np.generic]) -> NDArray[np.bool_] | None:
    """Where stored values are padding (Pixel Padding Value to Pixel Padding Range Limit, PS3.3 C.7.5.1.1.2); None where none is stated."""
    first = ds.get("PixelPaddingValue")
    last = ds.get("PixelPaddingRangeLimit", first)
    if not isinstance(first, int) or not isinstance(last, int):
        return None
    inside: NDArray[np.bool_] = (values >= min(first, last)) & (values <= max(first, last))  # type: ignore[operator]
    return inside


def _window_output_range(ds: Dataset, spec: PixelSpec) -> tuple[float, float]:
    """The output range of pydicom's ``apply_windowing``: that of the stored values, rescaled."""
    if table := ds.get("ModalityLUTSequence"):
        return 0.0, float(2 ** int(table[0].LUTDescriptor[2]) - 1)
    slope, intercept = 1.0, 0.0
    if "RescaleSlope" in ds and "RescaleIntercept" in ds:  # one alone is not applied
        slope, intercept = float(ds.RescaleSlope or 1), float(ds.RescaleIntercept or 0)
    low, high = (value * slope + intercept for value in spec.stored_range)
    return min(low, high), max(low, high)
