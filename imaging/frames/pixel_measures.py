"""The pixel measures of a multi-frame image whose frames share them (PS3.3 C.7.6.16.2.1)."""

from pydicom.dataset import Dataset

from imaging.volume.functional_groups import FrameGroups
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import translate_parse_errors
from imaging.wire.tolerant_values import TolerantReader


def pixel_measures(header: Dataset, notes: list[str]) -> TolerantReader:
    """A reader of the measures in the shared groups, else in those of the first frame, else in the data set."""
    shared = (header.get("SharedFunctionalGroupsSequence") or [])[:1]
    first = (header.get("PerFrameFunctionalGroupsSequence") or [])[:1]
    return FrameGroups((*shared, *first, header)).macro_reader("PixelMeasuresSequence", notes)


def pixel_spacing(header: Dataset) -> tuple[float, float] | None:
    """Distance of rows and of columns in mm; None where it is not stated."""
    notes: list[str] = []
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
        found = pixel_measures(header, notes).numbers("PixelSpacing", 2)
    return (found[0], found[1]) if found is not None and min(found) > 0 else None
