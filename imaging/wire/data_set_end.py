"""Finds out whether a data set is whole: a sender that is answered Success may delete what it has sent.

A whole data set ends where its last element ends (PS3.5 7.1), and encapsulated pixel data end with a delimiter (A.4). Heads of elements and
items are read, values are skipped: the time depends on their number and not on their length, and nothing is decoded. Heads are read as
pydicom reads them, which takes some that PS3.5 does not allow.
"""

import os
import struct
from typing import BinaryIO, Protocol

from core.errors import CannotUnderstand
from imaging.limits.work_budget import MAX_FRAGMENTS, WorkBudget
from imaging.wire.data_elements import (
    IMPLICIT_HEADER,
    ITEM,
    ITEM_END,
    PIXEL_DATA_TAGS,
    SEQUENCE_END,
    UNDEFINED_LENGTH,
    VRS_WITH_LONG_LENGTH,
)

_HEAD_BYTES = IMPLICIT_HEADER.size  # of an item, and of an element but for a long length
_PIECE_BYTES = 4096  # many heads where fragments are small, and one system call for each large fragment
_LARGE_PIECE_BYTES = 64 << 10  # where nothing but heads is expected
_LONG = frozenset(vr.encode() for vr in VRS_WITH_LONG_LENGTH)
_OF_ITEMS = frozenset({b"", b"SQ", b"UN"})  # VRs whose values of undefined length are sequences; "": Implicit VR (PS3.5 6.2.2, 7.5)
_FIRST_MARKERS = frozenset({b"\xff\xd8", b"\xff\x4f"})  # of a frame: Start of Image (JPEG, JPEG-LS), Start of Codestream (JPEG 2000)
_LAST_MARKER, _LAST_MARKER_WITHIN = b"\xff\xd9", 64  # End of Image and of Codestream; some writers pad behind it


class Pieces(Protocol):
    """The bytes of a data set."""

    def read(self, at: int, size: int) -> bytes:
        """``size`` bytes from ``at``; fewer where the data set ends before."""

    @property
    def size_bytes(self) -> int:
        """The length of the data set. Known once a read has returned fewer bytes than it was asked for."""


class FilePieces:
    """The bytes of an open file, read in pieces."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._descriptor = descriptor
        self._piece, self._begin = b"", 0

    def read(self, at: int, size: int) -> bytes:
        """As `Pieces.read`."""
        start = at - self._begin
        if start < 0 or start + size > len(self._piece):
            self._piece, self._begin, start = os.pread(self._descriptor, _PIECE_BYTES, at), at, 0
        return self._piece[start : start + size]


class StreamPieces:
    """The bytes of a seekable stream, read in pieces."""

    def __init__(self, stream: BinaryIO) -> None:
        self.size_bytes = stream.seek(0, os.SEEK_END)
        self._stream = stream
        self._piece, self._begin = b"", 0

    def read(self, at: int, size: int) -> bytes:
        """As `Pieces.read`."""
        start = at - self._begin
        if start < 0 or start + size > len(self._piece):
            self._stream.seek(at)
            self._piece, self._begin, start = self._stream.read(_LARGE_PIECE_BYTES), at, 0
        return self._piece[start : start + size]


def cut_short(how: str) -> CannotUnderstand:
    """The error of a data set that is not whole."""
    return CannotUnderstand(f"the data set is cut short: {how}", hint="send it again from where it is whole")


def is_explicit(pieces: Pieces, at: int) -> bool:
    """Whether the element at ``at`` states a VR, as pydicom guesses it: by two capital letters."""
    vr = pieces.read(at, 6)[4:]
    return vr.isalpha() and vr.isupper()


class DataSetWalk:
    """Goes from element to element to the end of a data set.

    Its methods raise `CannotUnderstand` where the data set ends within an element, and `OverBudget` where it has more elements, items or
    fragments than any real instance.

    Attributes
    ----------
    has_pixel_data
        Whether pixel data were found outside of sequences.
    lacks_delimiter
        Whether encapsulated pixel data end, with the data set, behind a whole fragment but without their delimiter.
    """

    def __init__(self, pieces: Pieces, *, explicit: bool, little: bool, budget: WorkBudget | None = None) -> None:
        """``budget``: counts the elements and items; None: a new one with the limits of an instance."""
        order = "<" if little else ">"
        self._explicit_head, self._implicit_head = struct.Struct(f"{order}HH2sH"), struct.Struct(f"{order}HHL")
        self._length = struct.Struct(f"{order}L")
        self._pieces, self._explicit = pieces, explicit
        self._budget = WorkBudget() if budget is None else budget
        self._within = "an element"
        self.has_pixel_data = self.lacks_delimiter = False

    def from_element(self, at: int) -> None:
        """Go from the head of an element to the end."""
        self._pass_elements(at, self._explicit, nested=False)

    def from_pixel_data(self, at: int, length: int | None) -> None:
        """Go from the value of the pixel data to the end; ``length`` None: it is undefined."""
        self.has_pixel_data, self._within = True, "its pixel data"
        self._pass_elements(self._pass_fragments(at, nested=False) if length is None else at + length, self._explicit, nested=False)

    def end_of_sequence(self, at: int) -> int:
        """Where the sequence of undefined length ends whose items begin at ``at``."""
        return self._pass_items(at, self._explicit)

    def has_one_frame_in_each_fragment(self, at: int, frames: int) -> bool:
        """Whether pixel data that begin at ``at`` and lack their delimiter hold every frame, from its first marker to its last.

        Some devices leave the delimiter out. Pixel data that were cut end within a frame, or have fewer of them.
        """
        fragments, read = list[tuple[int, int]](), self._pieces.read
        while head := read(at, _HEAD_BYTES):
            (*_, length) = self._implicit_head.unpack(head)
            fragments.append((at + _HEAD_BYTES, length))
            at += _HEAD_BYTES + length
        fragments = fragments[1:]  # the first is the Basic Offset Table
        if len(fragments) != frames or not all(read(start, 2) in _FIRST_MARKERS for start, _ in fragments):
            return False
        start, length = fragments[-1]
        end = min(length, _LAST_MARKER_WITHIN)
        return _LAST_MARKER in read(start + length - end, end)

    def _pass_elements(self, at: int, explicit: bool, *, nested: bool) -> int:
        """Return where the elements end that begin at ``at``: of an item of undefined length (``nested``), or of the data set."""
        while len(head := self._pieces.read(at, _HEAD_BYTES)) == _HEAD_BYTES:
            if not nested and not any(head):
                return at  # no element is (0000,0000): padding, which some devices append
            tag, vr, length, value = self._read_head(head, at, explicit)
            if nested and tag == ITEM_END:
                return value
            self._budget.add_element()
            is_pixel_data = tag in PIXEL_DATA_TAGS
            if not nested:
                self.has_pixel_data |= is_pixel_data
                self._within = "its pixel data" if is_pixel_data else "an element"
            if length != UNDEFINED_LENGTH:
                at = value + length
            elif vr in _OF_ITEMS and not is_pixel_data:
                at = self._pass_items(value, explicit)
            else:
                at = self._pass_fragments(value, nested=nested)
        if nested or at > self._pieces.size_bytes or any(head):
            raise cut_short(f"it ends within {self._within}")
        return at

    def _read_head(self, head: bytes, at: int, explicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, VR ("" if none is stated), length, and where the value begins, of the element at ``at``."""
        if explicit:
            group, element, vr, length = self._explicit_head.unpack(head)
            if vr in _LONG:
                long_length = self._pieces.read(at + _HEAD_BYTES, self._length.size)
                if len(long_length) < self._length.size:
                    raise cut_short("it ends within an element")
                return group << 16 | element, vr, self._length.unpack(long_length)[0], at + _HEAD_BYTES + self._length.size
            if b"AA" <= vr <= b"ZZ":
                return group << 16 | element, vr, length, at + _HEAD_BYTES
        group, element, length = self._implicit_head.unpack(head)
        return group << 16 | element, b"", length, at + _HEAD_BYTES

    def _pass_items(self, at: int, explicit: bool) -> int:
        """Return where the sequence of undefined length ends whose items begin at ``at`` (PS3.5 7.5)."""
        while len(head := self._pieces.read(at, _HEAD_BYTES)) == _HEAD_BYTES:
            group, element, length = self._implicit_head.unpack(head)
            at += _HEAD_BYTES
            if group << 16 | element == SEQUENCE_END:
                return at
            self._budget.add_item()
            if length == UNDEFINED_LENGTH:
                at = self._pass_elements(at, explicit and is_explicit(self._pieces, at), nested=True)
            else:
                at += int(length)
        raise cut_short("it ends within a sequence")

    def _pass_fragments(self, at: int, *, nested: bool) -> int:
        """Return where encapsulated pixel data end whose items begin at ``at`` (PS3.5 A.4)."""
        read, unpack = self._pieces.read, self._implicit_head.unpack
        for _ in range(MAX_FRAGMENTS + 2):  # and the offset table, and the delimiter
            head = read(at, _HEAD_BYTES)
            if len(head) < _HEAD_BYTES:
                break
            group, element, length = unpack(head)
            tag = group << 16 | element
            if tag == SEQUENCE_END:
                return at + _HEAD_BYTES
            if tag != ITEM:
                raise CannotUnderstand("the encapsulated pixel data are damaged", hint="something else stands where an item should begin")
            at += _HEAD_BYTES + length
        else:
            raise self._budget.refuse(f"more than {MAX_FRAGMENTS} fragments of pixel data")
        if head or nested or at != self._pieces.size_bytes:
            raise cut_short("it ends within its pixel data")
        self.lacks_delimiter = True
        return at
