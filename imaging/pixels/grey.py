"""Stored grey samples to the values that a person sees: rescale, window, inversion (PS3.3 C.7.6.3.1.2, C.11.1, C.11.2)."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.errors import PixelError
from imaging.pixels.grey_attributes import GreyAttributes, Values, Window, read_rescale, read_window, rescaled_range, translate_table_errors
from imaging.pixels.pixel_spec import PixelSpec
from imaging.wire.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


def to_grey_rgb(
    attributes: GreyAttributes, spec: PixelSpec, values: Values, notes: list[str], default: Window | None = None
) -> NDArray[np.uint8]:
    """One frame, (Y, X) stored values, to (Y, X, 3) uint8 with three equal channels.

    The first look-up table or window of the frame is applied, else ``default``. Without one an image of 8 bits or fewer is shown as it is,
    and of one of more bits, or with a sign, the range from the lowest to the highest value, with a note; padding, which is no part of the
    image, is left out of the range and black. Raises `PixelError` where the tables of the header cannot be applied.
    """
    if spec.photometric not in MONOCHROME:
        raise PixelError(f"a grey or colour image is expected, {spec.photometric[:16]} came")
    words = f"{'>' if spec.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else '<'}u2"
    padding: NDArray[np.bool_] | None = None
    with translate_table_errors():
        window = read_window(attributes.voi) or default
        rescaled = _rescale(attributes.modality, values, words=words)
        if table := attributes.voi.get("VOILUTSequence"):
            scaled = _look_up(table[0], rescaled, words=words) / (2.0 ** int(table[0].LUTDescriptor[2]) - 1)
        elif window is not None:
            scaled = window.show(rescaled)
        else:
            limits = _known_range(attributes.modality, spec)
            if limits is None:
                padding = _padding(attributes.image, values)
                limits = _range_of_image(np.asarray(rescaled, np.float64), padding, notes)
            scaled = _scale(rescaled, limits)
    scaled = np.clip(scaled, 0.0, 1.0)
    if spec.photometric == "MONOCHROME1":
        scaled = 1.0 - scaled
    if padding is not None:
        scaled[padding] = 0.0
    return np.repeat(np.rint(scaled * 255).astype(np.uint8)[..., None], 3, axis=2)


def _rescale(modality: Dataset, values: Values, *, words: str) -> Values:
    """Apply the Modality LUT or the rescale, where there is one (C.11.1); an empty element counts as absent.

    pydicom's ``apply_modality_lut`` computes the index of a table with the bits of the stored values, and fails on an empty element.
    """
    if table := modality.get("ModalityLUTSequence"):
        return _look_up(table[0], values, words=words)
    slope, intercept = read_rescale(modality) or (1.0, 0.0)
    return np.asarray(values.astype(np.float64) * slope + intercept)


def _look_up(table: Dataset, values: Values, *, words: str) -> NDArray[np.float64]:
    """Values of a Modality or VOI LUT (C.11.1.1.1, C.11.2.1.1).

    ``words``: dtype of table data of VR OW, whose bytes are as they were stored; entries of 8 bits may lie two in a word.
    """
    entries, first, bits = (int(value) for value in table.LUTDescriptor)
    entries = entries or 1 << 16
    stored = table.LUTData
    if stored is None:
        raise ValueError("the table has no data")
    if isinstance(stored, bytes):
        data = np.frombuffer(stored, "u1" if bits <= 8 and len(stored) < 2 * entries else words)
    else:
        data = np.atleast_1d(np.asarray(stored))
    index = np.clip(values.astype(np.int64) - first, 0, min(entries, len(data)) - 1)
    return np.asarray(data[index], np.float64)


def _known_range(modality: Dataset, spec: PixelSpec) -> tuple[float, float] | None:
    """The rescaled values that are black and white without a window: those that 8 unsigned bits can hold; None for other images."""
    if spec.bits_stored > 8 or spec.signed or modality.get("ModalityLUTSequence"):
        return None
    return rescaled_range(modality, spec)


def _range_of_image(shown: NDArray[np.float64], padding: NDArray[np.bool_] | None, notes: list[str]) -> tuple[float, float]:
    notes.append("the header has no window: the range from the lowest to the highest value was used")
    inside = shown if padding is None or padding.all() else shown[~padding]
    return float(inside.min()), float(inside.max())


def _scale(values: Values, limits: tuple[float, float]) -> NDArray[np.float64]:
    """Values to 0 to 1 between ``limits``."""
    low, high = limits
    return np.asarray((np.asarray(values, np.float64) - low) / max(high - low, 1e-9))


def _padding(ds: Dataset, values: Values) -> NDArray[np.bool_] | None:
    """Where stored values are padding (Pixel Padding Value to Pixel Padding Range Limit, PS3.3 C.7.5.1.1.2); None where none is stated."""
    first = ds.get("PixelPaddingValue")
    last = ds.get("PixelPaddingRangeLimit", first)
    if not isinstance(first, int) or not isinstance(last, int):
        return None
    inside: NDArray[np.bool_] = (values >= min(first, last)) & (values <= max(first, last))  # type: ignore[operator]
    return inside
