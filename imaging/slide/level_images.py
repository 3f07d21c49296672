"""Finds the image of one level of a slide among those of its matrix: parts of concatenations, focal planes, optical paths."""

import math
from collections import defaultdict
from collections.abc import Sequence

from core.errors import GeometryError, NotAnalysable
from imaging.frames.frame_file import FrameFile
from imaging.frames.pixel_measures import pixel_spacing
from imaging.slide.level import SlideLevel
from imaging.slide.tile_places import Matrix, is_full, read_matrix, tile_places
from imaging.wire.notes import add_note, warnings_as_notes
from imaging.wire.tolerant_parser import translate_parse_errors
from imaging.wire.tolerant_values import TolerantReader

FINER = 0.02  # share by which a level may miss a size that it should have
SAME_PLACE = 0.01  # share of the diagonal by which corners may lie apart: scanners state those of focal planes with small differences


def read_level(matrix: Matrix, found: list[FrameFile], notes: list[str], whole: bool) -> SlideLevel:
    """The level that these images of one matrix show. ``whole``: as of `imaging.slide.slide.read_slide`, which names the errors."""
    images = _images(found)
    files = _middle_plane(images)
    if len(images) > 1:
        if whole and any(_is_elsewhere(files[0], other[0]) for other in images):
            raise NotAnalysable("the images of the slide show several areas of one size", hint="send each scanned area as a series")
        add_note(notes, "of several images of one level one was used")
    spacing = pixel_spacing(files[0].header)
    if spacing is None:
        raise GeometryError("the slide states no Pixel Spacing: its magnification is not known", hint="correct the images at their source")
    if abs(spacing[0] - spacing[1]) > FINER * max(spacing):
        raise GeometryError(f"the pixels of the slide are not square: {spacing[0]:g} x {spacing[1]:g} mm")
    of_places: list[str] = []
    frames = sum(file.spec.frames for file in files)
    places = [tile_places(file, matrix, frames, of_places) for file in files]
    for note in of_places:
        add_note(notes, note)
    there, cells = sum(map(len, places)), matrix.cells[0] * matrix.cells[1]
    if whole and is_full(files[0]) and there < cells:
        raise GeometryError(f"a TILED_FULL image of {cells} tiles has {there}", hint="send all its tiles, or TILED_SPARSE")
    return SlideLevel(files, places, matrix, spacing)


def _images(files: Sequence[FrameFile]) -> list[list[FrameFile]]:
    """The files of each image of one level, the lowest Instance Number first: one file, or the parts of one concatenation in their order.

    A level has several where focal planes, optical paths or extended depth of field are images of their own.
    """
    images: dict[str, list[FrameFile]] = defaultdict(list)
    for file in files:
        is_part = "ConcatenationFrameOffsetNumber" in file.header
        images[str(file.header.get("ConcatenationUID", "")) if is_part else file.sop_instance_uid].append(file)
    ordered = [sorted(one, key=lambda file: int(file.header.get("ConcatenationFrameOffsetNumber") or 0)) for one in images.values()]
    return sorted(ordered, key=lambda one: min(file.instance_number for file in one))


def _middle_plane(images: list[list[FrameFile]]) -> list[FrameFile]:
    """Of the images that differ from the first in their focal plane alone, the one whose plane is in the middle.

    Scanners take the others above and below the tissue.
    """
    planes = [one for one in images if _kind(one[0]) == _kind(images[0][0])]
    heights = [corner[2] for one in planes if (corner := _corner(one[0])) is not None]
    if len(set(heights)) < len(planes):
        return planes[0]
    return planes[heights.index(sorted(heights)[len(heights) // 2])]


def _kind(file: FrameFile) -> tuple[str, ...]:
    """Extended Depth of Field, and the optical paths."""
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes([]):
        paths = file.header.get("OpticalPathSequence") or []
        return str(file.header.get("ExtendedDepthOfField", "")), *(str(path.get("OpticalPathIdentifier", "")) for path in paths)


def _is_elsewhere(one: FrameFile, other: FrameFile) -> bool:
    """Whether two images of one size begin at places on the slide that are further apart than a hundredth of their diagonal."""
    first, second = _corner(one), _corner(other)
    spacing, matrix = pixel_spacing(one.header), read_matrix(one)
    if first is None or second is None or spacing is None:
        return False
    return math.dist(first[:2], second[:2]) > SAME_PLACE * math.hypot(matrix.rows * spacing[0], matrix.columns * spacing[1])


def _corner(file: FrameFile) -> tuple[float, float, float] | None:
    """X, Y in mm and Z in micrometres of the upper left corner on the slide (PS3.3 C.8.12.4); None where X or Y is not stated."""
    notes: list[str] = []
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
        for item in (file.header.get("TotalPixelMatrixOriginSequence") or [])[:1]:
            read = TolerantReader(item, notes)
            x, y, z = (read.number(f"{axis}OffsetInSlideCoordinateSystem") for axis in "XYZ")
            return None if x is None or y is None else (x, y, z or 0.0)
    return None
