"""The orientation of each frame of an image: of its functional groups, else of the data set (PS3.3 C.7.6.16.2.4, C.7.6.2)."""

from pydicom.dataset import Dataset

from imaging.volume.functional_groups import FrameGroups
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import translate_parse_errors


def plane_orientations(header: Dataset, frames: int) -> list[tuple[float, ...] | None]:
    """Image Orientation (Patient) of each of ``frames`` frames; None where a frame has none, or a wrong one.

    A group of the frame itself counts before the shared one, and that before the data set, in which classic images have it.

    Raises
    ------
    CannotUnderstand
        The functional groups cannot be read.
    """
    notes: list[str] = []
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
        shared = list((header.get("SharedFunctionalGroupsSequence") or [])[:1])
        described = list(header.get("PerFrameFunctionalGroupsSequence") or [])[:frames]
        found = [_orientation((groups, *shared, header), notes) for groups in described]
        if len(found) < frames:
            found += [_orientation((*shared, header), notes)] * (frames - len(found))
    return found


def _orientation(places: tuple[Dataset, ...], notes: list[str]) -> tuple[float, ...] | None:
    return FrameGroups(places).macro_reader("PlaneOrientationSequence", notes).numbers("ImageOrientationPatient", 6)
