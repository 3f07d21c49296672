"""Creates whole slides: pyramids of tiled images in which each tile of tissue is a drawing, stained, on bare glass."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from imaging.wire.data_elements import (
    EXPLICIT_LONG_HEADER,
    IMPLICIT_HEADER,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED_LENGTH,
    encode_element,
    encode_item,
)
from tests.support.monai_classifiers import drawing
from tests.support.multi_frame import multi_frame
from tests.support.series import encoded

WSI = "1.2.840.10008.5.1.4.1.1.77.1.6"
TILE = 64
STAIN = np.array([40, -23, 14])  # leaves the brightness as it is
Cell = tuple[int, int]


def slide_pixels(shape: Cell, tissue: Collection[Cell], discs: Collection[Cell]) -> NDArray[np.uint8]:
    """(rows, columns, 3) of a slide of ``shape`` tiles."""
    out = np.full((shape[0] * TILE, shape[1] * TILE, 3), 240, np.uint8)
    for row, column in tissue:
        grey = drawing((row, column) in discs, 97 * row + column, (TILE, TILE)).astype(int)[..., None]
        out[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = np.clip(grey + STAIN, 0, 255)
    return out


def pyramid(
    shape: Cell = (6, 8), discs: Collection[Cell] = ((2, 5),), *, study: int = 8600, sparse: bool = False, **changes: Any
) -> list[FileDataset]:
    """Two levels of 0.5 and 2 micrometres. Tissue fills the middle; the slide ends inside of its last tiles.

    ``sparse``: TILED_SPARSE without the tiles of bare glass in the finer level.
    """
    tissue = [(row, column) for row in range(1, shape[0] - 1) for column in range(2, shape[1] - 1)]
    fine = slide_pixels(shape, tissue, discs)[: -TILE // 4, : -TILE // 2]
    coarse = fine[: len(fine) // 4 * 4, : fine.shape[1] // 4 * 4].reshape(len(fine) // 4, 4, fine.shape[1] // 4, 4, 3).mean(axis=(1, 3))
    first = level(fine, 0.0005, 1, study=study, only=tissue if sparse else None, **changes)
    return [first, level(coarse.astype(np.uint8), 0.002, 2, study=study, **changes)]


def level(
    pixels: NDArray[np.uint8], spacing_mm: float, number: int, *, study: int = 8600, only: Collection[Cell] | None = None, **changes: Any
) -> FileDataset:
    """A level as TILED_FULL; of the tiles ``only`` as TILED_SPARSE."""
    rows, columns = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -rows % TILE), (0, -columns % TILE), (0, 0)))
    cells = [(row, column) for row in range(len(padded) // TILE) for column in range(padded.shape[1] // TILE)]
    cells = [cell for cell in cells if only is None or cell in only]
    tiles = np.stack([padded[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] for y, x in cells])
    given: dict[str, Any] = {"ImageType": ["ORIGINAL" if number == 1 else "DERIVED", "PRIMARY", "VOLUME", "NONE"], **changes}
    made = multi_frame(tiles, study=study, sop_class=WSI, modality="SM", number=number, **given)
    made.TotalPixelMatrixRows, made.TotalPixelMatrixColumns = rows, columns
    made.TotalPixelMatrixFocalPlanes = made.NumberOfOpticalPaths = 1
    made.ContainerIdentifier = "SLIDE-1"
    made.DimensionOrganizationType = "TILED_FULL" if only is None else "TILED_SPARSE"
    shared, measures = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [spacing_mm, spacing_mm], 0.001
    shared.PixelMeasuresSequence = [measures]
    made.SharedFunctionalGroupsSequence = [shared]
    if only is not None:
        made.PerFrameFunctionalGroupsSequence = [_place(row, column) for row, column in cells]
    return made


def _place(row: int, column: int) -> Dataset:
    frame, place = Dataset(), Dataset()
    place.RowPositionInTotalImagePixelMatrix, place.ColumnPositionInTotalImagePixelMatrix = row * TILE + 1, column * TILE + 1
    frame.PlanePositionSlideSequence = [place]
    return frame


def sparse_file(side: int, *, undefined: bool, sop_class: str = WSI) -> bytes:
    """A file with ``side`` times ``side`` tiles of one pixel, the last one first, each with a place and an optical path.

    ``undefined``: sequences and items of undefined length.
    """
    image = level(np.zeros((TILE, TILE, 3), np.uint8), 0.0005, 1)
    image.Rows = image.Columns = 1
    image.TotalPixelMatrixRows = image.TotalPixelMatrixColumns = side
    image.NumberOfFrames, image.DimensionOrganizationType = side * side, "TILED_SPARSE"
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_class
    del image.PixelData
    cells = reversed([divmod(number, side) for number in range(side * side)])
    groups = _sequence(0x52009230, [_tile_group(row, column, undefined) for row, column in cells], undefined)
    return encoded(image) + groups + encode_element(0x7FE00010, "OB", bytes(-(-3 * side * side // 2) * 2))


def _tile_group(row: int, column: int, undefined: bool) -> bytes:
    place = b"".join(encode_element(tag, "SL", (at + 1).to_bytes(4, "little")) for tag, at in ((0x0048021E, column), (0x0048021F, row)))
    path = encode_element(0x00480106, "SH", b"1 ")
    return _sequence(0x00480207, [path], undefined) + _sequence(0x0048021A, [place], undefined)


def _sequence(tag: int, items: list[bytes], undefined: bool) -> bytes:
    if not undefined:
        return encode_element(tag, "SQ", b"".join(map(encode_item, items)))
    head = EXPLICIT_LONG_HEADER.pack(tag >> 16, tag & 0xFFFF, b"SQ", 0, UNDEFINED_LENGTH)
    delimiters = ((ITEM, UNDEFINED_LENGTH), (ITEM_END, 0), (SEQUENCE_END, 0))
    begin, end, last = (IMPLICIT_HEADER.pack(one >> 16, one & 0xFFFF, length) for one, length in delimiters)
    return head + b"".join(begin + item + end for item in items) + last
