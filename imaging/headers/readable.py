"""A header without what cannot be read: for code that goes through elements of which it does not know beforehand whether they are whole."""

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from imaging.wire.tolerant_values import note

MAX_DEPTH = 16


def drop_unreadable(dataset: Dataset, notes: list[str], depth: int = 0) -> Dataset:
    """Take out, in place, every element whose value pydicom cannot decode, in items too, and those so long that they were left
    in the file; say in ``notes`` that something was.
    """
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag, keep_deferred=True)
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            del dataset[tag]
            note(notes, "a value longer than any of a header was left out")
            continue
        try:
            element = dataset[tag]
            items = list(element.value or ()) if element.VR == "SQ" else []
        except MemoryError:
            raise
        except Exception:  # pydicom has many ways to fail on a broken value
            del dataset[tag]
            note(notes, "an element that cannot be read was left out")
            continue
        if depth == MAX_DEPTH and items:
            del dataset[tag]
            note(notes, "sequences nested too deep were left out")
            continue
        if element.VR != "SQ" and dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ":
            del dataset[tag]
            note(notes, "an element that should be a sequence and is none was left out")
        for item in items:
            drop_unreadable(item, notes, depth + 1)
    return dataset
