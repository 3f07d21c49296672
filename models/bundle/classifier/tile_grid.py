"""The tiles of a slide that a network is shown: a grid without overlap at a stated pixel size, without the tiles of bare glass."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.errors import NotAnalysable
from imaging.slide.level import SlideLevel
from imaging.slide.overview import tissue_pixels
from imaging.slide.slide import Slide
from models.card import ModelCard


@dataclass(frozen=True, slots=True)
class TileGrid:
    """A grid of tiles over one level.

    Attributes
    ----------
    level
        The level that is read.
    side
        Of a tile, in pixels of the level.
    size
        Of a tile as the network is shown it, in pixels.
    shape
        Rows and columns of the grid; tiles at the right and lower edge reach beyond the slide, as glass.
    tissue
        (T, 2): row and column of the tiles with tissue.
    not_stored
        The number of further tiles that have tissue in the overview, and of which the level stores nothing.
    """

    level: SlideLevel
    side: int
    size: int
    shape: tuple[int, int]
    tissue: npt.NDArray[np.intp]
    not_stored: int = 0

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """(size, size, 3) uint8 of the tile ``index`` of those with tissue. Raises `PixelError`."""
        row, column = (int(at) * self.side for at in self.tissue[index])
        rgb = self.level.region(row, column, self.side, self.side)
        if self.side == self.size:
            return rgb
        return np.asarray(Image.fromarray(rgb).resize((self.size, self.size), Image.Resampling.BILINEAR))

    def centre(self, index: int) -> tuple[float, float]:
        """(column, row) in the level's Total Pixel Matrix; the first pixel's centre is 0.5, 0.5 (PS3.3 C.18.6).

        Of a tile that reaches beyond the slide the centre of what lies within, so that the point lies on the image.
        """
        matrix = self.level.matrix
        starts = [int(at) * self.side for at in self.tissue[index]]
        row, column = ((start + min(start + self.side, end)) / 2 for start, end in zip(starts, (matrix.rows, matrix.columns), strict=True))
        return column, row


def make_grid(slide: Slide, card: ModelCard) -> TileGrid:
    """The grid that the card's pre-processing asks for.

    Raises
    ------
    NotAnalysable
        No level is fine enough, no tile has tissue or is stored, or more of them than the card allows.
    """
    settings = card.preprocessing
    pixel_um, size = float(settings["pixel_um"]), int(settings["tile"])
    level = slide.level_for(pixel_um)
    side = max(1, round(size * pixel_um / level.pixel_um))
    if abs(side - size) <= size * 0.02:
        side = size  # within what the stated pixel size is rounded by: no resampling
    shape = -(-level.matrix.rows // side), -(-level.matrix.columns // side)
    share = _tissue_share(slide, level, side, shape)
    in_overview = np.argwhere(share >= float(settings["least_tissue"]))
    stored = [level.holds(int(row) * side, int(column) * side, side, side) for row, column in in_overview]
    tissue = in_overview[np.array(stored, bool)]
    if len(in_overview) and not len(tissue):
        raise NotAnalysable("no tile with tissue is stored in the level that is read", hint="send its missing instances")
    if not len(tissue):
        raise NotAnalysable(f"no tile of the slide has {float(settings['least_tissue']):.0%} of tissue", hint="is the slide stained?")
    if len(tissue) > int(settings["most"]):
        raise NotAnalysable(f"{len(tissue)} tiles have tissue, and the model's card allows {int(settings['most'])} (preprocessing.most)")
    return TileGrid(level, side, size, shape, tissue, len(in_overview) - len(tissue))


def _tissue_share(slide: Slide, level: SlideLevel, side: int, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """(rows, columns): the share of tissue in each tile, as seen in the overview; of pixels outside of the slide none is."""
    sums = np.pad(tissue_pixels(slide.overview).cumsum(0, np.int64).cumsum(1), ((1, 0), (1, 0)))
    scale = slide.overview_scale(level)
    edges = []
    for axis in range(2):
        at = np.arange(shape[axis] + 1) * side * scale[axis]
        low, high = np.floor(at[:-1] + 0.5).astype(np.intp), np.floor(at[1:] + 0.5).astype(np.intp)
        low = np.minimum(low, slide.overview.shape[axis] - 1)
        edges.append((low, np.clip(high, low + 1, None)))  # a tile that is smaller than a pixel of the overview takes that pixel
    (y0, y1), (x0, x1) = edges
    y_end, x_end = np.minimum(y1, slide.overview.shape[0]), np.minimum(x1, slide.overview.shape[1])
    inside = sums[np.ix_(y_end, x_end)] - sums[np.ix_(y0, x_end)] - sums[np.ix_(y_end, x0)] + sums[np.ix_(y0, x0)]
    return np.asarray(inside / np.outer(y1 - y0, x1 - x0))
