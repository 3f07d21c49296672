"""Header values that route conditions are compared with, by DICOM keyword."""

import math

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from imaging.headers.shared_groups import flatten_shared_groups
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import translate_parse_errors
from imaging.wire.tolerant_values import clean_text

RouteValue = str | float | tuple[str, ...] | tuple[float, ...]

_NUMBER_VRS = frozenset({"DS", "IS", "FL", "FD", "SL", "SS", "UL", "US", "SV", "UV"})
_OMITTED_VRS = frozenset({"SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN", "OB or OW", "AT"})


def read_route_values(dataset: Dataset) -> dict[str, RouteValue]:
    """Every plain element by its DICOM keyword.

    Numbers are float, several values a tuple, text is clean str. Sequences, binary and private elements are left out, as is what
    cannot be read. Slice thickness, spacing and orientation that all frames of a multi-frame image share appear as if they
    stood in the data set itself.
    """
    notes: list[str] = []
    values: dict[str, RouteValue] = {}
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
        for source in (flatten_shared_groups(dataset), dataset):
            for tag in list(source.keys()):
                if tag.is_private or tag.group in (0x0002, 0x7FE0):
                    continue
                pair = _read_element(source, tag, notes)
                if pair is not None:
                    values[pair[0]] = pair[1]
    return values


def _read_element(dataset: Dataset, tag: BaseTag, notes: list[str]) -> tuple[str, RouteValue] | None:
    raw = dataset.get_item(tag, keep_deferred=True)  # a value that was left in the file because of its length matches no condition
    if raw is None or raw.VR in _OMITTED_VRS or raw.value is None:
        return None
    try:
        element = dataset[tag]
        keyword, vr, value = element.keyword, element.VR, element.value
        if not keyword or vr in _OMITTED_VRS or value is None or value == "" or isinstance(value, bytes):
            return None
        parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") or vr == "PN" else list(value)
        if not parts:
            return None
        if vr in _NUMBER_VRS:
            numbers = tuple(float(str(part)) for part in parts)
            if not all(math.isfinite(number) for number in numbers):
                return None
            return keyword, numbers[0] if len(numbers) == 1 else numbers
        texts = tuple(clean_text(str(part), notes, keyword) for part in parts)
        return keyword, texts[0] if len(texts) == 1 else texts
    except (RecursionError, MemoryError):
        raise
    except Exception:  # pydicom fails on broken values with exceptions of many types
        return None  # an element that cannot be read matches no condition
