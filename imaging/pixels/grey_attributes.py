"""What a header states about the display of its grey values, for each frame: rescale, window and tables.

They stand in the data set (PS3.3 C.11.1, C.11.2), or in the functional groups of an enhanced image: Pixel Value Transformation
(C.7.6.16.2.9) and Frame VOI LUT (C.7.6.16.2.10), for one frame or shared by all.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.errors import PixelError
from imaging.pixels.pixel_spec import PixelSpec

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
Values = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class GreyAttributes:
    """The data sets that state how the grey values of one frame are displayed.

    Attributes
    ----------
    image
        The header, which states the padding.
    modality
        Has Modality LUT Sequence, or Rescale Slope and Intercept, where there are any.
    voi
        Has VOI LUT Sequence, or Window Center and Width, where there are any.
    """

    image: Dataset
    modality: Dataset
    voi: Dataset


@dataclass(frozen=True, slots=True)
class Window:
    """The first window of a data set; ``function``: its VOI LUT Function (PS3.3 C.11.2.1.2, C.11.2.1.3)."""

    center: float
    width: float
    function: str

    def show(self, values: Values) -> NDArray[np.float64]:
        """Rescaled values to 0 (black) to 1 (white)."""
        rescaled = np.asarray(values, np.float64)
        if self.function == "SIGMOID":
            return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (rescaled - self.center) / self.width, -700.0, 700.0))))
        shift = 0.5 if self.function == "LINEAR" else 0.0
        from_center, width = rescaled - (self.center - shift), self.width - 2 * shift
        if width == 0:  # a threshold
            return np.asarray(from_center > 0, np.float64)
        return np.clip(from_center / width + 0.5, 0.0, 1.0)


def grey_attributes(header: Dataset, frames: int) -> list[GreyAttributes]:
    """Return the attributes of each of ``frames`` frames: those of its functional groups, else the shared ones, else those of the data set.

    Raises `PixelError` where they cannot be read.
    """
    with translate_table_errors():
        shared = list((header.get("SharedFunctionalGroupsSequence") or [])[:1])
        described = (header.get("PerFrameFunctionalGroupsSequence") or [])[:frames]
        found = [_search(header, [groups, *shared]) for groups in described]
        return found + [_search(header, shared)] * (frames - len(found))


def _search(header: Dataset, groups: Sequence[Dataset]) -> GreyAttributes:
    transformations = _macro_items(groups, "PixelValueTransformationSequence")
    windows = _macro_items(groups, "FrameVOILUTSequence")
    return GreyAttributes(
        image=header,
        modality=next((item for item in transformations if read_rescale(item) is not None), header),
        voi=next((item for item in windows if item.get("VOILUTSequence") or read_window(item) is not None), header),
    )


def _macro_items(groups: Iterable[Dataset], macro: str) -> Iterator[Dataset]:
    for group in groups:
        yield from (group.get(macro) or [])[:1]


def common_window(frames: Sequence[GreyAttributes], spec: PixelSpec) -> Window | None:
    """A window over the whole range of the frames that have none, so that they are displayed alike.

    None where every frame has a window or a table, and for images of 8 bits or fewer, which are displayed as they are. Raises `PixelError`.
    """
    if spec.bits_stored <= 8:
        return None
    with translate_table_errors():
        without = [frame for frame in frames if not frame.voi.get("VOILUTSequence") and read_window(frame.voi) is None]
        bare = {id(frame.modality): frame.modality for frame in without}
        if not bare:
            return None
        limits = [limit for modality in bare.values() for limit in rescaled_range(modality, spec)]
    low, high = min(limits), max(limits)
    return Window((low + high + 1) / 2, high - low + 1, "LINEAR")


def read_window(place: Dataset) -> Window | None:
    """Return the first window of a data set; None without one that can be applied.

    Many devices write the elements without a value, or with a width of 0. Raises `PixelError` for an unknown VOI LUT Function.
    """
    center, width = _first_number(place, "WindowCenter"), _first_number(place, "WindowWidth")
    function = str(place.get("VOILUTFunction") or "LINEAR").strip().upper()
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    if function not in FUNCTIONS:
        raise PixelError(f"VOI LUT Function (0028,1056) is {', '.join(FUNCTIONS)} or absent, {function[:16]!r} came")
    return Window(center, width, function)


def read_rescale(place: Dataset) -> tuple[float, float] | None:
    """Return slope and intercept; None where one of them is absent or empty: the other alone is not applied."""
    slope, intercept = _first_number(place, "RescaleSlope"), _first_number(place, "RescaleIntercept")
    return None if slope is None or intercept is None else (slope, intercept)


def rescaled_range(modality: Dataset, spec: PixelSpec) -> tuple[float, float]:
    """The lowest and the highest value that stored values can have after Modality LUT or rescale."""
    if table := modality.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** int(table[0].LUTDescriptor[2]) - 1
    slope, intercept = read_rescale(modality) or (1.0, 0.0)
    low, high = sorted(value * slope + intercept for value in spec.stored_range)
    return low, high


def _first_number(place: Dataset, keyword: str) -> float | None:
    """The first value of an element of VR DS; None where it is absent or empty."""
    value = place.get(keyword)
    if value is not None and not isinstance(value, float | int | str):
        value = next(iter(value), None)
    return None if value is None or value == "" else float(value)


@contextmanager
def translate_table_errors() -> Iterator[None]:
    """Raise `PixelError` for what pydicom and numpy raise on broken tables, windows and rescale values."""
    try:
        yield
    except (ValueError, AttributeError, KeyError, IndexError, TypeError, NotImplementedError, ArithmeticError) as error:
        hint = "correct Modality LUT, VOI LUT or window where the image is made"
        raise PixelError(f"the grey values cannot be shown by the header's tables: {type(error).__name__}", hint=hint) from error
