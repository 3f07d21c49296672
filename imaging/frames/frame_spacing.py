"""The distances between the frames, rows and columns of a multi-frame image (PS3.3 C.7.6.16.2.1, C.7.6.16.2.3)."""

import numpy as np
from pydicom.dataset import Dataset

from imaging.frames.pixel_measures import pixel_measures
from imaging.volume.functional_groups import FrameGroups
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import translate_parse_errors

UNEVEN = 0.2  # distances that differ by a larger share of their median make no regular volume


def frame_spacing(header: Dataset) -> tuple[float, float, float] | None:
    """(frames, rows, columns) in mm; None where one of them is not stated, or where the frames are not evenly spaced.

    The distance of frames is Spacing Between Slices, else that of the positions in the patient, else Slice Thickness.
    """
    notes: list[str] = []
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
        frames = list(header.get("PerFrameFunctionalGroupsSequence") or [])
        first = pixel_measures(header, notes)
        pixel = first.numbers("PixelSpacing", 2)
        between = first.number("SpacingBetweenSlices") or _distance(frames, notes) or first.number("SliceThickness")
    if pixel is None or between is None or min(*pixel, between) <= 0:
        return None
    return between, pixel[0], pixel[1]


def _distance(frames: list[Dataset], notes: list[str]) -> float | None:
    found = [FrameGroups((frame,)).macro_item("PlanePositionSequence") for frame in frames]
    if len(found) < 2 or any(item is None or "ImagePositionPatient" not in item for item in found):
        return None
    places = [FrameGroups((frame,)).macro_reader("PlanePositionSequence", notes).numbers("ImagePositionPatient", 3) for frame in frames]
    if any(place is None for place in places):
        return None
    steps = np.linalg.norm(np.diff(np.array(places, np.float64), axis=0), axis=1)
    usual = float(np.median(steps))
    return usual if usual > 0 and float(np.abs(steps - usual).max()) <= UNEVEN * usual else None
