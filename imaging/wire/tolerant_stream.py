"""What the tolerant parser wraps around a file: a bound on what is read of it, and the location of its pixel data."""

import io
from dataclasses import dataclass
from typing import BinaryIO, cast

from pydicom.tag import BaseTag

from core.policy.admission import WHOLE_SLIDE
from imaging.limits.work_budget import EXTRA_BYTES, MAX_CHARACTER_SET_BYTES, MAX_PASSES, current_budget
from imaging.wire.data_elements import IMPLICIT_HEADER, LENGTH, PER_FRAME_GROUPS, PIXEL_DATA_TAGS, SOP_CLASS_UID, UNDEFINED_LENGTH

LARGE_BYTES, MAX_UID_BYTES = 1 << 20, 64
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian
_SHORT_LENGTHS_OF_8, _LONG_LENGTHS_OF_8 = (b"\x08\0", b"\0\x08"), (b"\x08\0\0\0", b"\0\0\0\x08")
_CHARACTER_SET_TAGS = (b"\x08\x00\x05\x00", b"\x00\x08\x00\x05")


@dataclass(frozen=True, slots=True)
class PixelLocation:
    """Where the pixel data element of a file lies: its value starts at ``offset``; ``length`` is None if undefined.

    ``tile_groups``: begin and end of the value of the Per-Frame Functional Groups Sequence of a whole slide, which is not parsed.
    """

    tag: int
    vr: str
    offset: int
    length: int | None
    tile_groups: tuple[int, int] | None = None

    @property
    def end(self) -> int:
        """Where a value of defined length ends; for undefined length, where it starts."""
        return self.offset + (self.length or 0)

    def read(self, stream: BinaryIO) -> bytes:
        """The bytes of the value; for undefined length up to the end of the file (the sequence delimiter ends it within)."""
        stream.seek(self.offset)
        return stream.read() if self.length is None else stream.read(self.length)


class StopAtPixelData:
    """pydicom's stop condition: stops in front of the pixel data of the outermost data set and keeps their location.

    With ``stop_at_tiles`` it stops in front of the functional groups of a whole slide's tiles too. There may be hundreds of thousands, of
    which pydicom makes 5 KB each.
    """

    def __init__(self, stream: BinaryIO, *, read_pixels: bool, stop_at_tiles: bool = False) -> None:
        """``read_pixels``: never stop."""
        self._stream = stream
        self._stop_at_tiles, self._on_slide = stop_at_tiles and not read_pixels, False
        self.read_pixels = read_pixels
        self.location: PixelLocation | None = None
        self.tile_groups: tuple[int, int | None] | None = None  # where the value begins, and its length, None if undefined

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Whether to stop in front of this element."""
        if self._stop_at_tiles and int(tag) == SOP_CLASS_UID and length <= MAX_UID_BYTES:
            at = self._stream.tell()
            self._on_slide = self._stream.read(length).rstrip(b"\0 ") == WHOLE_SLIDE.encode()
            self._stream.seek(at)
        if self._on_slide and int(tag) == PER_FRAME_GROUPS and self.tile_groups is None:
            self.tile_groups = self._stream.tell(), None if length == UNDEFINED_LENGTH else length
            return True
        if self.read_pixels or int(tag) not in PIXEL_DATA_TAGS:
            return False
        self.location = PixelLocation(int(tag), vr or "OW", self._stream.tell(), None if length == UNDEFINED_LENGTH else length)
        return True


class _BoundedStream:
    """A stream that counts what pydicom reads of it as the work of one instance, and gives a few times as many bytes as it holds."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._budget = current_budget()
        start = stream.tell()
        self._end = stream.seek(0, io.SEEK_END)
        most = self._budget.limits.passed_bytes
        self._bytes_left = MAX_PASSES * self._end + EXTRA_BYTES if most is None else most
        stream.seek(start)
        self._in_character_set = self._in_short_value = False
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int = -1) -> bytes:
        """Read as a file does. pydicom reads the 8 bytes in front of each value or item alone, and 4 bytes for a long length."""
        if self._in_character_set and size > MAX_CHARACTER_SET_BYTES:
            raise self._budget.refuse(f"more than {MAX_CHARACTER_SET_BYTES} bytes of Specific Character Set")
        if size > LARGE_BYTES:  # Python allocates as much as is asked for, whether the file has it or not
            size = min(size, max(self._end - self._stream.tell(), 0))
        content = self._stream.read(size)
        self._bytes_left -= len(content)
        if self._bytes_left < 0:
            raise self._budget.refuse("many values of undefined length without an end")
        if size == LENGTH.size:
            self._in_short_value = content in _LONG_LENGTHS_OF_8
            return content
        if self._in_character_set:
            self._budget.add_value("CS", content)
        is_value, self._in_short_value, self._in_character_set = self._in_short_value, False, False
        if size == IMPLICIT_HEADER.size == len(content) and not is_value:
            self._count(content)
        return content

    def _count(self, header: bytes) -> None:
        tag = header[:4]
        if tag in _ITEM_TAGS:
            self._budget.add_item()
            return
        group, element, _ = IMPLICIT_HEADER.unpack(header)
        self._budget.tag = group << 16 | element
        self._in_character_set = tag in _CHARACTER_SET_TAGS
        # A value of 8 bytes, which is no header: its bytes are neither counted nor named.
        self._in_short_value = header[6:] in _SHORT_LENGTHS_OF_8 or header[4:] in _LONG_LENGTHS_OF_8
        self._budget.add_element()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def bound_reading(stream: BinaryIO) -> BinaryIO:
    """Wrap a seekable stream so that reading raises `OverBudget` where it takes more work than that of any real instance.

    That is counted in `imaging.limits.work_budget`, as is a search: pydicom looks for the end of every value of undefined length up to
    the end of the file, and a megabyte with a hundred thousand such values that do not end would keep it busy for minutes.
    """
    return cast(BinaryIO, _BoundedStream(stream))
