"""Where the frames of a tiled image lie in its Total Pixel Matrix (PS3.3 C.7.6.17.3, C.8.12.14)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset

from core.errors import CannotUnderstand, GeometryError
from imaging.frames.frame_file import FrameFile
from imaging.slide.tile_groups import TileGroup, TileGroups
from imaging.wire.tolerant_parser import translate_parse_errors

MAX_GROUPS_BYTES = 1 << 29  # a tile has about 300
Cell = tuple[int, int]  # (row, column) of a tile in the grid of tiles, from 0


@dataclass(frozen=True, slots=True)
class Matrix:
    """The Total Pixel Matrix of one instance: its size, and the size of its tiles, in pixels."""

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def cells(self) -> tuple[int, int]:
        """Numbers of rows and columns of tiles."""
        return -(-self.rows // self.tile_rows), -(-self.columns // self.tile_columns)


def read_matrix(file: FrameFile) -> Matrix:
    """The matrix of an instance. Raises `GeometryError` where the header does not state its size."""
    rows, columns = (_integer(file.header, f"TotalPixelMatrix{axis}") for axis in ("Rows", "Columns"))
    if rows is None or columns is None:
        raise GeometryError("a tiled image without Total Pixel Matrix Rows and Columns: the places of its tiles are not known")
    return Matrix(rows, columns, file.spec.rows, file.spec.columns)


def is_full(file: FrameFile) -> bool:
    """Whether the instance, or the concatenation that it is a part of, holds every tile."""
    return str(file.header.get("DimensionOrganizationType", "")).strip().upper() == "TILED_FULL"


def tile_places(file: FrameFile, matrix: Matrix, frames: int, notes: list[str]) -> Mapping[Cell, int]:
    """The frame number, from 1, of each tile that the instance holds: of one focal plane and the first optical path.

    TILED_FULL: row by row, from the frame offset of a concatenation. TILED_SPARSE: as the functional groups of each frame say. Of several
    focal planes the middle one, because scanners take the others above and below the tissue.
    ``frames``: of the image, which is more than the instance holds where it is a part of a concatenation.

    Raises
    ------
    GeometryError
        Tiles that overlap, lie outside of the matrix, or have no position.
    CannotUnderstand
        Functional groups that cannot be read, or more of them than any slide has.
    """
    found = dict(_full(file, matrix, frames) if is_full(file) else _sparse(file, matrix))
    if len(found) < file.spec.frames:
        notes.append("of several focal planes or optical paths one was used")
    return found


def _full(file: FrameFile, matrix: Matrix, frames: int) -> Iterator[tuple[Cell, int]]:
    """Frames are ordered by optical path, then by focal plane, then by row (PS3.3 C.7.6.17.3)."""
    rows, columns = matrix.cells
    planes = min(_integer(file.header, "TotalPixelMatrixFocalPlanes") or 1, max(1, frames // (rows * columns)))
    first = (_integer(file.header, "ConcatenationFrameOffsetNumber", low=0) or 0) - planes // 2 * rows * columns
    for number in range(1, file.spec.frames + 1):
        place = first + number - 1
        if 0 <= place < rows * columns:
            yield divmod(place, columns), number


def _sparse(file: FrameFile, matrix: Matrix) -> Iterator[tuple[Cell, int]]:
    """For each tile its frame of the middle focal plane, of the optical path that the first frame has."""
    stacks: dict[Cell, list[tuple[float, int]]] = {}
    rows, columns, number, path = *matrix.cells, 0, b""
    with translate_parse_errors("functional groups of tiles that cannot be read"):
        for number, group in enumerate(_groups(file), 1):
            if group.row is None or group.column is None:
                raise GeometryError(f"tile {number} has no position in the Total Pixel Matrix")
            (down, rest), (right, more) = divmod(group.row - 1, matrix.tile_rows), divmod(group.column - 1, matrix.tile_columns)
            if rest or more or not (0 <= down < rows and 0 <= right < columns):
                raise GeometryError("tiles that overlap or lie outside of the Total Pixel Matrix are not read")
            path = group.path if number == 1 else path
            if group.path == path:
                stacks.setdefault((down, right), []).append((group.z, number))
    if number != file.spec.frames:
        raise GeometryError(f"{file.spec.frames} tiles expected, {number} described in the functional groups")
    for cell, stack in stacks.items():
        yield cell, sorted(stack)[len(stack) // 2][1]


def _groups(file: FrameFile) -> Iterable[TileGroup]:
    if file.tile_groups is None:
        return ()
    begin, end = file.tile_groups
    if end - begin > MAX_GROUPS_BYTES:
        raise CannotUnderstand(f"functional groups of tiles of {end - begin} bytes, more than the {MAX_GROUPS_BYTES} allowed")
    implicit, little = file.header.original_encoding
    return TileGroups(file.content(begin, end), explicit=not implicit, little=bool(little))


def _integer(header: Dataset, keyword: str, low: int = 1) -> int | None:
    try:
        value = int(header.get(keyword))
    except (TypeError, ValueError):
        return None
    return value if value >= low else None
