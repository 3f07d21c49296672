"""Reads the places of a slide's tiles from their functional groups (PS3.3 C.7.6.17.2, C.8.12.6.1), without parsing anything else.

A slide may have hundreds of thousands of tiles. pydicom takes 150 microseconds and 5 KB for each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imaging.limits.work_budget import OF_TILES, WorkBudget
from imaging.wire.data_elements import ITEM_END, SEQUENCE_END, UNDEFINED_LENGTH
from imaging.wire.data_set_end import DataSetWalk

_PLANE_POSITION, _OPTICAL_PATH = 0x0048021A, 0x00480207
_COLUMN, _ROW, _Z, _PATH_ID = 0x0048021E, 0x0048021F, 0x0040074A, 0x00480106
_HEAD_BYTES = 8


@dataclass(frozen=True, slots=True)
class TileGroup:
    """What the functional groups of one tile state.

    ``row``, ``column``: of its upper left pixel in the Total Pixel Matrix, from 1; None where they are not stated. ``z``: height of its
    focal plane above the slide in micrometres, 0 where it is not stated. ``path``: identifier of its optical path.
    """

    row: int | None = None
    column: int | None = None
    z: float = 0.0
    path: bytes = b""


class _Bytes:
    """Bytes in memory as `Pieces`."""

    def __init__(self, content: bytes) -> None:
        self._content, self.size_bytes = content, len(content)

    def read(self, at: int, size: int) -> bytes:
        return self._content[at : at + size]


class TileGroups(DataSetWalk):
    """The value of a Per-Frame Functional Groups Sequence. Its methods raise `CannotUnderstand` and `OverBudget`."""

    def __init__(self, content: bytes, *, explicit: bool, little: bool) -> None:
        super().__init__(_Bytes(content), explicit=explicit, little=little, budget=WorkBudget(OF_TILES))
        self._content, self._little = content, little

    def __iter__(self) -> Iterator[TileGroup]:
        """Yield what each item states, in their order."""
        for begin, end in self._items(0, len(self._content)):
            yield TileGroup(**self._group(begin, end))

    def _group(self, begin: int, end: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for macro, at, after in self._elements(begin, end):
            if macro not in (_PLANE_POSITION, _OPTICAL_PATH):
                continue
            for first, last in self._items(at, after):
                for tag, value, stop in self._elements(first, last):
                    content = self._content[value:stop]
                    if tag in (_ROW, _COLUMN) and len(content) == self._length.size:
                        name = "row" if tag == _ROW else "column"
                        found[name] = int.from_bytes(content, "little" if self._little else "big", signed=True)
                    elif tag == _Z:
                        found["z"] = _number(content)
                    elif tag == _PATH_ID:
                        found["path"] = content.strip(b"\0 ")
                break  # of one item
        return found

    def _items(self, at: int, end: int) -> Iterator[tuple[int, int]]:
        """Where the content of each item of a sequence begins and ends."""
        while at + _HEAD_BYTES <= end:
            group, element, length = self._implicit_head.unpack(self._pieces.read(at, _HEAD_BYTES))
            at += _HEAD_BYTES
            if group << 16 | element == SEQUENCE_END:
                return
            self._budget.add_item()
            after = self._pass_elements(at, self._explicit, nested=True) if length == UNDEFINED_LENGTH else min(at + int(length), end)
            yield at, after
            at = after

    def _elements(self, at: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Tag of each element of an item, and where its value begins and ends; the end of an undefined length is behind its delimiter."""
        while at + _HEAD_BYTES <= end:
            tag, _, length, value = self._read_head(self._pieces.read(at, _HEAD_BYTES), at, self._explicit)
            if tag == ITEM_END:
                return
            self._budget.add_element()
            after = self._pass_items(value, self._explicit) if length == UNDEFINED_LENGTH else min(value + length, end)
            yield tag, value, after
            at = after


def _number(content: bytes) -> float:
    try:
        return float(content.strip(b"\0 "))
    except ValueError:
        return 0.0
