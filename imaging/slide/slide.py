"""A whole slide: the levels of its pyramid, and a small picture of it (PS3.3 A.32.8, C.8.12.4)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import GeometryError, NotAnalysable
from core.policy.admission import WHOLE_SLIDE
from imaging.frames.concatenation import check_whole
from imaging.frames.frame_file import FrameFile
from imaging.frames.pixel_measures import pixel_spacing
from imaging.slide.level import SlideLevel
from imaging.slide.overview import draw_overview
from imaging.slide.tile_places import Matrix, read_matrix, tile_places
from imaging.wire.notes import add_note

OTHER_AREA = 0.1  # share by which height or width of the area that a level shows may differ from that of the finest
FINER, COARSER = 0.02, 0.1  # shares by which a level may miss the wanted pixel size, and by which it may be too coarse


@dataclass(frozen=True, slots=True)
class Slide:
    """The pyramid of one slide.

    Attributes
    ----------
    levels
        Finest first.
    overview
        (Y, X, 3) uint8: the whole of the coarsest level, made smaller where it has more than 2,048 pixels a side.
    notes
        What was left out or tolerated, in words.
    """

    levels: tuple[SlideLevel, ...]
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
        """Pixels of the overview for each pixel of a level: along rows, along columns."""
        return self.overview.shape[0] / level.matrix.rows, self.overview.shape[1] / level.matrix.columns


def read_slide(paths: Sequence[Path], *, whole: bool = True) -> Slide:
    """Read the headers of a slide's instances, and its coarsest level.

    Images of Image Type LABEL, OVERVIEW, THUMBNAIL and LOCALIZER are left out: a label may show who the patient is. ``whole``: refuse a
    concatenation of which an instance is missing, whose tiles would be bare glass.

    Raises
    ------
    NotAnalysable
        No whole slide image, or images of several slides.
    GeometryError
        No pixel spacing, tiles without places, or an instance of a concatenation is missing.
    PixelError
        Tiles that cannot be found or decoded.
    """
    read, notes = [FrameFile(path) for path in paths], list[str]()
    files = [file for file in read if file.sop_class_uid == WHOLE_SLIDE and "VOLUME" in file.image_type]
    if not files:
        raise NotAnalysable(f"whole slide images of Image Type VOLUME are expected, {len(read)} other instances came")
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
    levels = sorted((_read_level(matrix, found, notes) for matrix, found in grouped.items()), key=lambda level: level.pixel_um)
    overview = draw_overview(levels[-1])
    for note in (note for file in files for note in file.notes):
        add_note(notes, note)
    return Slide(tuple(levels), overview, tuple(notes))


def require_one_area(slide: Slide) -> Slide:
    """Return the slide if every level shows the same area: tissue is searched in the coarsest one, and a second area would not be analysed.

    Raises
    ------
    NotAnalysable
        Height or width of the areas differ, as those of two scanned areas of one slide do.
    """
    first = slide.levels[0].size_mm
    for level in slide.levels[1:]:
        pixel_mm = level.pixel_um / 1000  # a level ends with a whole pixel
        if any(abs(one - other) > OTHER_AREA * max(one, other) + pixel_mm for one, other in zip(first, level.size_mm, strict=True)):
            areas = " and ".join(f"{high:.1f} x {wide:.1f} mm" for high, wide in (first, level.size_mm))
            raise NotAnalysable(f"the images of the slide show areas of {areas}", hint="send each scanned area as a series")
    return slide


def _read_level(matrix: Matrix, files: list[FrameFile], notes: list[str]) -> SlideLevel:
    files = sorted(files, key=lambda file: (int(file.header.get("ConcatenationFrameOffsetNumber") or 0), file.instance_number))
    if len(files) > 1 and any("ConcatenationFrameOffsetNumber" not in file.header for file in files):
        add_note(notes, "of several images of one level the first was used")
        files = files[:1]
    spacing = pixel_spacing(files[0].header)
    if spacing is None:
        raise GeometryError("the slide states no Pixel Spacing: its magnification is not known", hint="correct the images at their source")
    if abs(spacing[0] - spacing[1]) > FINER * max(spacing):
        raise GeometryError(f"the pixels of the slide are not square: {spacing[0]:g} x {spacing[1]:g} mm")
    found: list[str] = []
    places = [tile_places(file, matrix, found) for file in files]
    for note in found:
        add_note(notes, note)
    return SlideLevel(files, places, matrix, spacing)
