"""A whole slide: the levels of its pyramid, and a small picture of it (PS3.3 A.32.8, C.8.12.4)."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.counted import counted
from core.errors import GeometryError, NotAnalysable
from core.policy.admission import WHOLE_SLIDE
from imaging.frames.concatenation import check_whole
from imaging.frames.frame_file import FrameFile
from imaging.frames.pixel_measures import pixel_spacing
from imaging.slide.level import SlideLevel
from imaging.slide.overview import LEAST_SIDE, draw_overview
from imaging.slide.tile_places import Matrix, is_full, read_matrix, tile_places
from imaging.wire.notes import add_note, warnings_as_notes
from imaging.wire.tolerant_parser import translate_parse_errors
from imaging.wire.tolerant_values import TolerantReader

OTHER_AREA = 0.1  # share by which height or width of the area that a level shows may differ from that of the finest
SAME_PLACE = 0.01  # share of the diagonal by which corners may lie apart: scanners state those of focal planes with small differences
FINER, COARSER = 0.02, 0.1  # shares by which a level may miss the wanted pixel size, and by which it may be too coarse


@dataclass(frozen=True, slots=True)
class Slide:
    """The pyramid of one slide.

    Attributes
    ----------
    levels
        Finest first.
    overview_level
        The one that the overview shows: the coarsest with at least 1,024 pixels along its longer side, else the finest. Pyramids end with
        a level of one tile, in which small pieces of tissue cannot be told from glass.
    overview
        (Y, X, 3) uint8: the whole of that level, made smaller where it has more than 2,048 pixels a side.
    notes
        What was left out or tolerated, in words.
    """

    levels: tuple[SlideLevel, ...]
    overview_level: SlideLevel
    overview: NDArray[np.uint8]
    notes: tuple[str, ...]

    def level_for(self, pixel_um: float) -> SlideLevel:
        """The coarsest level with pixels of at most ``pixel_um`` micrometres, and 10 % more.

        Raises
        ------
        NotAnalysable
            Every level is coarser.
        """
        fitting = [level for level in self.levels if level.pixel_um <= pixel_um * (1 + COARSER)]
        if not fitting:
            raise NotAnalysable(
                f"the finest level of the slide has pixels of {self.levels[0].pixel_um:.3g} µm, the model needs {pixel_um:g} µm",
                hint="send the levels of higher magnification too",
            )
        return fitting[-1]

    def overview_scale(self, level: SlideLevel) -> tuple[float, float]:
        """Pixels of the overview for each pixel of a level: along rows, along columns.

        Of levels that show one area by their sizes, because the Pixel Spacing of small levels is often rounded. A level that was filled up
        to whole tiles shows more: by Pixel Spacing, from the upper left corner, which the levels share.
        """
        shown = self.overview_level
        sizes = zip(shown.matrix.shape, level.matrix.shape, shown.spacing_mm, level.spacing_mm, strict=True)
        ratios = [
            one / other if abs(one * its_mm - other * mm) <= FINER * other * mm + max(its_mm, mm) else mm / its_mm
            for one, other, its_mm, mm in sizes
        ]
        return ratios[0] * self.overview.shape[0] / shown.matrix.rows, ratios[1] * self.overview.shape[1] / shown.matrix.columns


def read_slide(paths: Sequence[Path], *, whole: bool = True) -> Slide:
    """Read the headers of a slide's instances, and the level of its overview.

    Images of Image Type LABEL, OVERVIEW, THUMBNAIL and LOCALIZER are left out: a label may show who the patient is. ``whole``: refuse a
    concatenation of which an instance is missing, and a TILED_FULL image without all its tiles: they would be bare glass.

    Raises
    ------
    NotAnalysable
        No whole slide image, or images of several slides.
    GeometryError
        No pixel spacing, tiles without places, or an instance of a concatenation or a tile is missing.
    PixelError
        Tiles that cannot be found or decoded.
    """
    read, notes = [FrameFile(path) for path in paths], list[str]()
    files = [file for file in read if file.sop_class_uid == WHOLE_SLIDE and "VOLUME" in file.image_type]
    if not files:
        untyped = sum(not file.image_type for file in read)
        raise NotAnalysable(
            f"whole slide images of Image Type VOLUME are expected, {counted(len(read), 'other instance')} came",
            hint=f"{untyped} of them state no Image Type: correct them at their source" if untyped else "send the levels of the pyramid",
        )
    if len(files) < len(read):
        notes.append(f"{len(read) - len(files)} images of the label, an overview or of other kinds were left out")
    if whole:
        check_whole(file.header for file in files)
    slides = {str(file.header.get("ContainerIdentifier", "")) for file in files}
    if len(slides) > 1:
        raise NotAnalysable(f"one slide is expected, the series has {len(slides)} containers", hint="send each slide as a series")
    grouped: dict[Matrix, list[FrameFile]] = defaultdict(list)
    for file in files:
        grouped[read_matrix(file)].append(file)
    levels = sorted((_read_level(matrix, found, notes, whole) for matrix, found in grouped.items()), key=lambda level: level.pixel_um)
    large = [level for level in levels if max(level.matrix.shape) >= LEAST_SIDE]
    overview = draw_overview(shown := large[-1] if large else levels[0])
    for note in (note for file in files for note in file.notes):
        add_note(notes, note)
    return Slide(tuple(levels), shown, overview, tuple(notes))


def require_one_area(slide: Slide) -> Slide:
    """Return the slide if every level shows the same area: tissue is searched in one of them, and a second area would not be analysed.

    A level may show more by less than one of its tiles where it was filled up to whole tiles, as some scanners do.

    Raises
    ------
    NotAnalysable
        Height or width of the areas differ, as those of two scanned areas of one slide do.
    """
    first = slide.levels[0].size_mm
    for level in slide.levels[1:]:
        if not all(_is_same_length(*axis) for axis in zip(first, level.size_mm, level.filled_mm, level.spacing_mm, strict=True)):
            areas = " and ".join(f"{high:.1f} x {wide:.1f} mm" for high, wide in (first, level.size_mm))
            raise NotAnalysable(f"the images of the slide show areas of {areas}", hint="send each scanned area as a series")
    return slide


def _is_same_length(first_mm: float, other_mm: float, filled_mm: float, pixel_mm: float) -> bool:
    """``filled_mm``: by how much the other level may be longer; ``pixel_mm``: of that level, which ends with a whole pixel."""
    if first_mm < other_mm < first_mm + filled_mm:
        return True
    return abs(first_mm - other_mm) <= OTHER_AREA * max(first_mm, other_mm) + pixel_mm


def _read_level(matrix: Matrix, found: list[FrameFile], notes: list[str], whole: bool) -> SlideLevel:
    files, *others = _images(found)
    if others:
        if whole and any(_is_elsewhere(files[0], other[0]) for other in others):
            raise NotAnalysable("the images of the slide show several areas of one size", hint="send each scanned area as a series")
        add_note(notes, "of several images of one level the first was used")
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


def _is_elsewhere(one: FrameFile, other: FrameFile) -> bool:
    """Whether two images of one size begin at places on the slide that are further apart than a hundredth of their diagonal."""
    first, second = _origin_mm(one), _origin_mm(other)
    spacing, matrix = pixel_spacing(one.header), read_matrix(one)
    if first is None or second is None or spacing is None:
        return False
    return math.dist(first, second) > SAME_PLACE * math.hypot(matrix.rows * spacing[0], matrix.columns * spacing[1])


def _origin_mm(file: FrameFile) -> tuple[float, float] | None:
    """X and Y of the upper left corner on the slide (PS3.3 C.8.12.4); None where they are not stated."""
    notes: list[str] = []
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
        for item in (file.header.get("TotalPixelMatrixOriginSequence") or [])[:1]:
            read = TolerantReader(item, notes)
            x, y = (read.number(f"{axis}OffsetInSlideCoordinateSystem") for axis in "XY")
            return None if x is None or y is None else (x, y)
    return None
