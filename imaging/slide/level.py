"""One level of a slide's pyramid: regions of its Total Pixel Matrix, of which only the tiles that they touch are decoded."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from imaging.frames.frame_file import FrameFile
from imaging.slide.tile_places import Cell, Matrix

MAX_CACHED_BYTES = 64 << 20  # decoded tiles that neighbouring regions share
GLASS = 255  # of every channel, where the scanner has stored no tile


class SlideLevel:
    """A Total Pixel Matrix that one instance holds, or the instances of one concatenation.

    Attributes
    ----------
    matrix
        Its size, and the size of its tiles, in pixels.
    spacing_mm
        Distance of rows and of columns.
    sop_instance_uid
        Of the instance, or of the first one of the concatenation.
    """

    def __init__(
        self, files: Sequence[FrameFile], places: Sequence[Mapping[Cell, int]], matrix: Matrix, spacing_mm: tuple[float, float]
    ) -> None:
        """``places``: for each file the frame numbers of its tiles."""
        self.matrix = matrix
        self.spacing_mm = spacing_mm
        self.sop_instance_uid = files[0].sop_instance_uid
        self.sop_instance_uids = tuple(file.sop_instance_uid for file in files)
        self._files = tuple(files)
        self._frames = {cell: (index, number) for index, tiles in enumerate(places) for cell, number in tiles.items()}
        self._cache: OrderedDict[Cell, NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()

    @property
    def pixel_um(self) -> float:
        """Width and height of a pixel in micrometres, their mean."""
        return 500 * (self.spacing_mm[0] + self.spacing_mm[1])

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width of the area that the level shows, in mm."""
        return self.matrix.rows * self.spacing_mm[0], self.matrix.columns * self.spacing_mm[1]

    @property
    def filled_mm(self) -> tuple[float, float]:
        """By how much it may be longer than what was scanned, in height and in width: less than a tile, where it ends with a whole one."""
        matrix, spacing = self.matrix, self.spacing_mm
        return (
            0.0 if matrix.rows % matrix.tile_rows else matrix.tile_rows * spacing[0],
            0.0 if matrix.columns % matrix.tile_columns else matrix.tile_columns * spacing[1],
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was wrong with its images and tolerated, also in the tiles that were decoded so far, in words."""
        return tuple(dict.fromkeys(note for file in self._files for note in file.notes))

    @property
    def tile_count(self) -> int:
        """The number of tiles that are stored."""
        return len(self._frames)

    def instance_at(self, row: float, column: float) -> str:
        """SOP Instance UID of the instance with the tile that holds a pixel."""
        found = self._frames.get((int(row) // self.matrix.tile_rows, int(column) // self.matrix.tile_columns))
        return self.sop_instance_uid if found is None else self._files[found[0]].sop_instance_uid

    def holds(self, top: int, left: int, rows: int, columns: int) -> bool:
        """Whether any tile is stored in this region."""
        high, wide = self.matrix.tile_rows, self.matrix.tile_columns
        down, across = range(top // high, -(-(top + rows) // high)), range(left // wide, -(-(left + columns) // wide))
        return any((row, column) in self._frames for row in down for column in across)

    def tile(self, cell: Cell) -> NDArray[np.uint8] | None:
        """(Y, X, 3) uint8 of one stored tile; None where the scanner has stored none. Raises `PixelError`."""
        found = self._frames.get(cell)
        if found is None:
            return None
        with self._lock:
            if cell in self._cache:
                self._cache.move_to_end(cell)
                return self._cache[cell]
        rgb = self._files[found[0]].rgb(found[1])
        with self._lock:
            self._cache[cell] = rgb
            while len(self._cache) > 1 and len(self._cache) * rgb.nbytes > MAX_CACHED_BYTES:
                self._cache.popitem(last=False)
        return rgb

    def region(self, top: int, left: int, rows: int, columns: int) -> NDArray[np.uint8]:
        """(rows, columns, 3) uint8 from the pixel ``top``, ``left``; `GLASS` where there is no tile. Raises `PixelError`."""
        out = np.full((rows, columns, 3), GLASS, np.uint8)
        high, wide = self.matrix.tile_rows, self.matrix.tile_columns
        bottom, right = min(top + rows, self.matrix.rows), min(left + columns, self.matrix.columns)
        for down in range(top // high, -(-bottom // high)):
            for across in range(left // wide, -(-right // wide)):
                tile = self.tile((down, across))
                if tile is None:
                    continue
                y0, y1 = max(top, down * high), min(bottom, (down + 1) * high)
                x0, x1 = max(left, across * wide), min(right, (across + 1) * wide)
                out[y0 - top : y1 - top, x0 - left : x1 - left] = tile[
                    y0 - down * high : y1 - down * high, x0 - across * wide : x1 - across * wide
                ]
        return out
