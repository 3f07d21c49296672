"""Stored grey samples to the values that a person sees: rescale, window, inversion (PS3.3 C.7.6.3.1.2, C.11.1, C.11.2)."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_windowing

from core.errors import PixelError
from imaging.pixels.pixel_spec import PixelSpec

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


def to_grey_rgb(ds: Dataset, spec: PixelSpec, values: NDArray[np.generic], notes: list[str]) -> NDArray[np.uint8]:
    """One frame, (Y, X) stored values, to (Y, X, 3) uint8 with three equal channels.

    The first window or look-up table of the header is applied. Without one the range from the lowest to the highest value of an image
    of more than 8 bits is shown, with a note. Raises `PixelError` where the tables of the header cannot be applied.
    """
    if spec.photometric not in MONOCHROME:
        raise PixelError(f"a grey or colour image is expected, {spec.photometric[:16]} came")
    try:
        rescaled = apply_modality_lut(values, ds)
        if table := ds.get("VOILUTSequence"):
            shown = _look_up(table[0], rescaled)
        else:
            shown = np.asarray(apply_windowing(rescaled, ds, index=0), np.float64)
    except (ValueError, AttributeError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise PixelError(f"the grey values cannot be shown by the header's tables: {type(error).__name__}") from error
    low, high = _shown_range(ds, spec, shown, notes)
    scaled = np.clip((shown - low) / max(high - low, 1e-9), 0.0, 1.0)
    if spec.photometric == "MONOCHROME1":
        scaled = 1.0 - scaled
    return np.repeat(np.rint(scaled * 255).astype(np.uint8)[..., None], 3, axis=2)


def _look_up(table: Dataset, values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Values of a VOI LUT (C.11.2.1.1). pydicom's ``apply_voi`` computes the index of an 8-bit table with 8 bits."""
    entries, first, _ = (int(value) for value in table.LUTDescriptor)
    stored = table.LUTData
    data = np.frombuffer(stored, "<u2") if isinstance(stored, bytes) else np.asarray(stored)
    index = np.clip(values.astype(np.int64) - first, 0, min(entries or 1 << 16, len(data)) - 1)
    return np.asarray(data[index], np.float64)


def _shown_range(ds: Dataset, spec: PixelSpec, shown: NDArray[np.float64], notes: list[str]) -> tuple[float, float]:
    """The values that become black and white."""
    if table := ds.get("VOILUTSequence"):
        return 0.0, float(2 ** int(table[0].LUTDescriptor[2]) - 1)
    if "WindowWidth" in ds and "WindowCenter" in ds:
        return _window_output_range(ds, spec)
    if spec.bits_stored <= 8 and "RescaleSlope" not in ds and not spec.signed:
        return float(spec.stored_range[0]), float(spec.stored_range[1])
    notes.append("the header has no window: the range from the lowest to the highest value was used")
    return float(shown.min()), float(shown.max())


def _window_output_range(ds: Dataset, spec: PixelSpec) -> tuple[float, float]:
    """The output range of pydicom's ``apply_windowing``: that of the stored values, rescaled."""
    if table := ds.get("ModalityLUTSequence"):
        return 0.0, float(2 ** int(table[0].LUTDescriptor[2]) - 1)
    slope, intercept = float(ds.get("RescaleSlope", 1) or 1), float(ds.get("RescaleIntercept", 0) or 0)
    low, high = (value * slope + intercept for value in spec.stored_range)
    return min(low, high), max(low, high)
