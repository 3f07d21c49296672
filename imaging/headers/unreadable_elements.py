"""Removal of elements that cannot be read, for code that goes through all elements of a header."""

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from imaging.wire.notes import add_note

MAX_DEPTH = 16


def drop_unreadable_elements(dataset: Dataset, notes: list[str], depth: int = 0) -> Dataset:
    """Remove, in place, every element that pydicom cannot decode, or whose value was left in the file because of its length.

    Items of sequences are searched too. ``notes`` receives what was removed. Returns the data set.
    """
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag, keep_deferred=True)
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
            del dataset[tag]
            add_note(notes, "a value longer than any of a header was left out")
            continue
        try:
            element = dataset[tag]
            items = list(element.value or ()) if element.VR == "SQ" else []
        except MemoryError:
            raise
        except Exception:  # pydicom fails on broken values with exceptions of many types
            del dataset[tag]
            add_note(notes, "an element that cannot be read was left out")
            continue
        if depth == MAX_DEPTH and items:
            del dataset[tag]
            add_note(notes, "sequences nested too deep were left out")
            continue
        if element.VR != "SQ" and dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ":
            del dataset[tag]
            add_note(notes, "an element that should be a sequence and is not was left out")
        for item in items:
            drop_unreadable_elements(item, notes, depth + 1)
    return dataset
