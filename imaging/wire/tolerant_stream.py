"""What the tolerant parser wraps around a file: a bound on what is read of it, and the location of its pixel data."""

import io
from dataclasses import dataclass
from typing import BinaryIO, cast

from pydicom.tag import BaseTag

from core.errors import CannotUnderstand
from imaging.wire.data_elements import PIXEL_DATA_TAGS, UNDEFINED_LENGTH

# A file may be read through so many times (a sound one is read once), and small files so many bytes on top.
_MAX_PASSES, _EXTRA_BYTES = 8, 1 << 20


@dataclass(frozen=True, slots=True)
class PixelLocation:
    """Where the pixel data element of a file lies: its value starts at ``offset``; ``length`` is None if undefined."""

    tag: int
    vr: str
    offset: int
    length: int | None

    @property
    def end(self) -> int:
        """Where a value of defined length ends; for undefined length, where it starts."""
        return self.offset + (self.length or 0)

    def read(self, stream: BinaryIO) -> bytes:
        """The bytes of the value; for undefined length up to the end of the file (the sequence delimiter ends it within)."""
        stream.seek(self.offset)
        return stream.read() if self.length is None else stream.read(self.length)


class StopAtPixelData:
    """pydicom's stop condition: stops in front of the pixel data of the outermost data set and keeps their location."""

    def __init__(self, stream: BinaryIO, *, read_pixels: bool) -> None:
        """``read_pixels``: never stop."""
        self._stream = stream
        self.read_pixels = read_pixels
        self.location: PixelLocation | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Whether to stop in front of this element."""
        if self.read_pixels or int(tag) not in PIXEL_DATA_TAGS:
            return False
        self.location = PixelLocation(int(tag), vr or "OW", self._stream.tell(), None if length == UNDEFINED_LENGTH else length)
        return True


class _BoundedStream:
    """A stream that gives at most a few times as many bytes as it holds."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        start = stream.tell()
        self._bytes_left = _MAX_PASSES * stream.seek(0, io.SEEK_END) + _EXTRA_BYTES
        stream.seek(start)
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._bytes_left -= len(content)
        if self._bytes_left < 0:
            raise CannotUnderstand("the file holds many values of undefined length without an end", hint="the file is broken or hostile")
        return content

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def bound_reading(stream: BinaryIO) -> BinaryIO:
    """Wrap a seekable stream so that reading far more than it holds raises `CannotUnderstand`.

    pydicom searches for the end of every value of undefined length up to the end of the file: a megabyte with a hundred thousand
    such values that do not end would keep it busy for minutes.
    """
    return cast(BinaryIO, _BoundedStream(stream))
