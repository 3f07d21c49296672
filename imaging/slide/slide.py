"""A whole slide: the levels of its pyramid, and a small picture of it (PS3.3 A.32.8, C.8.12.4)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.counted import counted
from core.errors import NotAnalysable
from core.policy.admission import WHOLE_SLIDE
from imaging.frames.concatenation import check_whole
from imaging.frames.frame_file import FrameFile
from imaging.slide.level import SlideLevel
from imaging.slide.level_images import FINER, read_level
from imaging.slide.overview import LEAST_SIDE, draw_overview
from imaging.slide.tile_places import Matrix, read_matrix
from imaging.wire.notes import add_note

OTHER_AREA = 0.1  # share by which height or width of the area that a level shows may differ from that of the finest
COARSER = 0.1  # share by which the pixels of a level may be larger than the wanted ones


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
    levels = sorted((read_level(matrix, found, notes, whole) for matrix, found in grouped.items()), key=lambda level: level.pixel_um)
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
