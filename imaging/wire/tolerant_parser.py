"""Tolerant parsing of DICOM files (PS3.5, PS3.10), and where their pixel data lie. Nothing is decoded here."""

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset as parse_dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from core.errors import CannotUnderstand, NodeError
from imaging.wire.tolerant_values import note, tolerating

MAX_INFLATED_BYTES = 512 << 20
_FIRST_INFLATED_BYTES = 4 << 20  # a header alone: nobody needs to inflate the pixels for it
_DEFER_BYTES = 64 << 10  # longer values of other elements (documents, waveforms) stay in the file
_READINGS, _READ_BYTES = 8, 1 << 20  # a file may be gone through so often (it is once), and so much on top for a small one
_PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """Where the pixel data element lies in a file: its value starts at ``offset``; ``length`` is None if undefined."""

    tag: int
    vr: str
    offset: int
    length: int | None

    @property
    def end(self) -> int:
        """Where a value of declared length ends; of undefined length, where it starts."""
        return self.offset + (self.length or 0)

    def read(self, stream: BinaryIO) -> bytes:
        """The value's bytes; of undefined length, to the end of the file (the sequence delimiter ends it inside)."""
        stream.seek(self.offset)
        return stream.read() if self.length is None else stream.read(self.length)


@contextmanager
def understanding(what: str) -> Iterator[None]:
    """Whatever a parser throws on a hostile file is one thing to the sender: cannot understand."""
    try:
        yield
    except NodeError:
        raise
    except RecursionError as error:
        raise CannotUnderstand(f"{what}: sequences are nested too deep", hint="the file is broken or hostile") from error
    except MemoryError as error:
        raise CannotUnderstand(f"{what}: an element claims more bytes than there are", hint="the file is broken or hostile") from error
    except Exception as error:
        raise CannotUnderstand(f"{what}: {type(error).__name__} while parsing", hint="send it as DICOM Part 10") from error


def read_dataset(source: Path | BinaryIO, *, pixels: bool = False, max_inflated_bytes: int = MAX_INFLATED_BYTES) -> Dataset:
    """Parse a file or stream, tolerantly.

    Parameters
    ----------
    source
        A path, or a seekable binary stream at its start.
    pixels
        Read the pixel data too. Without, parsing stops in front of them.
    max_inflated_bytes
        Bound on a deflated data set once inflated.

    Raises
    ------
    CannotUnderstand
        No DICOM, broken beyond reading, nested too deep, or a deflate bomb.
    OSError
        The file cannot be opened.
    """
    return locate(source, pixels=pixels, max_inflated_bytes=max_inflated_bytes)[0]


def locate(
    source: Path | BinaryIO,
    *,
    pixels: bool = False,
    notes: list[str] | None = None,
    max_inflated_bytes: int = MAX_INFLATED_BYTES,
) -> tuple[Dataset, PixelPlace | None]:
    """As `read_dataset`, and where the pixel data lie, so that they can be read later without parsing again.

    The place is None where there are none, where ``pixels`` read them, or where the data set is deflated.
    """
    found = notes if notes is not None else []
    if isinstance(source, Path):
        with source.open("rb") as stream:  # a file that is not there is no fault of its content: OSError goes up
            return _parse(stream, pixels, found, _DEFER_BYTES, max_inflated_bytes)
    return _parse(source, pixels, found, None, max_inflated_bytes)


def _parse(
    stream: BinaryIO, pixels: bool, notes: list[str], defer: int | None, max_inflated_bytes: int
) -> tuple[Dataset, PixelPlace | None]:
    with understanding("no readable DICOM data set"), tolerating(notes):
        return _parse_any(stream, pixels, notes, defer, max_inflated_bytes)


def _parse_any(
    stream: BinaryIO, pixels: bool, notes: list[str], defer: int | None, max_inflated_bytes: int
) -> tuple[Dataset, PixelPlace | None]:
    head = stream.read(132)
    stream.seek(0)
    if head[128:132] != b"DICM":
        note(notes, "no preamble and DICM prefix as PS3.10 7.1 says")
    stop = _Stop(stream, pixels)
    meta_end = _deflated_from(stream)
    if meta_end is not None:
        return _parse_deflated(stream, meta_end, stop, notes, max_inflated_bytes), None
    dataset = read_partial(_metered(stream), stop, defer_size=None if pixels else defer, force=True)
    dataset.fileobj_type = open  # long values that were left in the file are read from there, not through the meter
    if pixels and not dataset and head:
        dataset = _parse_cut(stream, notes)
    if stop.place is not None and stop.place.end > stream.seek(0, io.SEEK_END):
        note(notes, "the pixel data end before their declared length")
    if not dataset:
        raise CannotUnderstand("no DICOM data set: it holds no element", hint="send it as DICOM Part 10")
    return dataset, stop.place


def _parse_cut(stream: BinaryIO, notes: list[str]) -> FileDataset:
    """A file that ends inside its pixel data, of which pydicom keeps nothing: the header, and the pixel data as far as they go."""
    stream.seek(0)
    stop = _Stop(stream, pixels=False)
    dataset = read_partial(_metered(stream), stop, force=True)
    if stop.place is not None:
        note(notes, "the pixel data end before their declared length")
        dataset.add_new(stop.place.tag, stop.place.vr, stop.place.read(stream))
    return dataset


class _Metered:
    """A stream that gives no more than a few times what it holds.

    pydicom looks for the end of every value of undefined length to the end of the file: a megabyte that holds a hundred thousand
    of them without an end would keep it busy for minutes.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        here = stream.tell()
        self._left = _READINGS * stream.seek(0, io.SEEK_END) + _READ_BYTES
        stream.seek(here)
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise CannotUnderstand("values of undefined length that have no end", hint="the file is broken or hostile")
        return content

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _metered(stream: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, _Metered(stream))


class _Stop:
    """pydicom's stop condition: in front of the pixel data of the outermost data set, whose place it keeps."""

    def __init__(self, stream: BinaryIO, pixels: bool) -> None:
        self._stream = stream
        self._pixels = pixels
        self.place: PixelPlace | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if self._pixels or int(tag) not in _PIXEL_TAGS:
            return False
        self.place = PixelPlace(int(tag), vr or "OW", self._stream.tell(), None if length == 0xFFFFFFFF else length)
        return True


def _deflated_from(stream: BinaryIO) -> int | None:
    """Where the deflated data set starts, or None if it is not deflated. The stream is left at its start."""
    head = stream.read(4096)
    stream.seek(0)
    at = 132 if head[128:132] == b"DICM" else 0
    deflated = False
    while head[at : at + 2] == b"\x02\x00" and at + 12 <= len(head):
        if head[at + 4 : at + 6] in (b"OB", b"UN", b"OW", b"SQ", b"UT"):
            start, size = at + 12, int.from_bytes(head[at + 8 : at + 12], "little")
        else:
            start, size = at + 8, int.from_bytes(head[at + 6 : at + 8], "little")
        if head[at + 2 : at + 4] == b"\x10\x00":
            deflated = head[start : start + size].rstrip(b"\0 ") == DeflatedExplicitVRLittleEndian.encode()
        at = start + size
    return at if deflated else None


def _parse_deflated(stream: BinaryIO, meta_end: int, stop: _Stop, notes: list[str], max_inflated_bytes: int) -> Dataset:
    meta = read_partial(io.BytesIO(stream.read(meta_end)), force=True)
    packed = stream.read()
    for bound in (min(_FIRST_INFLATED_BYTES, max_inflated_bytes), max_inflated_bytes):
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = inflater.decompress(packed, bound)
        if not inflater.eof and not inflater.unconsumed_tail:
            note(notes, "the deflated data set ends early")
        whole = inflater.eof or not inflater.unconsumed_tail
        if not whole and bound == max_inflated_bytes:
            raise CannotUnderstand(
                f"a deflated data set inflates to more than {max_inflated_bytes} bytes", hint="send it with another transfer syntax"
            )
        if not whole and stop._pixels:
            continue
        buffer = io.BytesIO(plain)
        try:
            dataset = parse_dataset(_metered(buffer), False, True, stop_when=stop)
        except EOFError:
            if whole:
                raise
            continue
        if whole or stop.place is not None:
            break
    result = FileDataset(buffer, dataset, meta.preamble, meta.file_meta, False, True)
    result.set_original_encoding(False, True, dataset._character_set)
    return result
