"""Data sets that are hostile by design, as a sender could put them on an association."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from imaging.wire.notes import warnings_as_notes
from imaging.wire.part10 import data_set_offset
from tests.fuzz.seed_files import Seed
from tests.support.series import CT, encoded, image
from tests.support.transcode import transcode

EXPLICIT, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF
DEEP = 10_000


def hostile_datasets() -> Iterator[Seed]:
    """Yield every data set."""
    for name, syntax, data_set in (*_nested(), *_wrong_lengths(), *_many(), *_bombs()):
        yield Seed(name, CT, _PLAIN_UID, syntax, data_set)
    for name, changes in _attributes():
        yield _plain(name, **changes)
    yield from _pixels()


def _bytes_of(**changes: Any) -> bytes:
    content = encoded(image(side=8, **changes))
    return content[data_set_offset(content) :]


def _plain(name: str, **changes: Any) -> Seed:
    with warnings_as_notes([]):  # pydicom warns of invalid values
        made = image(side=8, **changes)
        content = encoded(made)
    return Seed(name, CT, str(made.SOPInstanceUID), EXPLICIT, content[data_set_offset(content) :])


_PLAIN_UID = str(image(side=8).SOPInstanceUID)


def _explicit(group: int, number: int, vr: bytes, content: bytes, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    long = vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC")
    return struct.pack("<HH2s", group, number, vr) + (struct.pack("<HL", 0, size) if long else struct.pack("<H", size & 0xFFFF)) + content


_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
_ITEM_END, _SEQUENCE_END = (struct.pack("<HHL", 0xFFFE, number, 0) for number in (0xE00D, 0xE0DD))


def _nested() -> Iterator[tuple[str, str, bytes]]:
    """Sequences in sequences, 10,000 deep, with defined and undefined lengths, closed and left open."""
    sequence = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, UNDEFINED) + _ITEM
    yield "nested, undefined lengths, open", EXPLICIT, _bytes_of() + sequence * DEEP
    yield "nested, undefined lengths, closed", EXPLICIT, _head() + sequence * DEEP + (_ITEM_END + _SEQUENCE_END) * DEEP
    implicit = struct.pack("<HHL", 0x0040, 0xA730, UNDEFINED) + _ITEM
    yield "nested, implicit", IMPLICIT, implicit * DEEP + (_ITEM_END + _SEQUENCE_END) * DEEP
    private = struct.pack("<HH2sHL", 0x0041, 0x1010, b"UN", 0, UNDEFINED) + _ITEM
    yield "nested, private and unknown", EXPLICIT, _head() + private * DEEP + (_ITEM_END + _SEQUENCE_END) * DEEP
    inside = b""
    for _ in range(DEEP):
        inside = _explicit(0x0040, 0xA730, b"SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(inside)) + inside)
    yield "nested, defined lengths", EXPLICIT, _head() + inside
    yield "items in items without sequences", EXPLICIT, _head() + _explicit(0x0040, 0xA730, b"SQ", b"", UNDEFINED) + _ITEM * DEEP
    path = struct.pack("<HH2sHL", 0x0028, 0x9110, b"SQ", 0, UNDEFINED) + _ITEM  # the geometry of a multi-frame image
    shared = struct.pack("<HH2sHL", 0x5200, 0x9229, b"SQ", 0, UNDEFINED) + _ITEM
    yield "nested functional groups", EXPLICIT, _bytes_of(PixelData=None) + shared + path * DEEP


def _head() -> bytes:
    """Return the data set up to group 0020, which precedes the groups used here."""
    whole = _bytes_of()
    return whole[: whole.index(struct.pack("<HH", 0x0028, 0x0002))]


def _wrong_lengths() -> Iterator[tuple[str, str, bytes]]:
    whole = _bytes_of()
    for length in (0xFFFFFFFE, 0x80000000, 0x7FFFFFFF, 10**6):
        yield f"an element of {length} bytes that are not there", EXPLICIT, _head() + _explicit(0x0021, 0x1010, b"OB", b"x", length)
        item = struct.pack("<HHL", 0xFFFE, 0xE000, length)
        yield f"an item of {length} bytes", EXPLICIT, _head() + _explicit(0x0021, 0x1010, b"SQ", item)
        yield f"implicit, {length} bytes", IMPLICIT, struct.pack("<HHL", 0x0008, 0x0018, length) + b"1.2.3"
        yield f"pixel data of {length} bytes", EXPLICIT, _bytes_of(PixelData=None) + _explicit(0x7FE0, 0x10, b"OW", bytes(64), length)
    for length in (0, 1, 0xFFFFFFFF, 0x7FFFFFFF):
        lengths = b"".join(_explicit(group, 0, b"UL", struct.pack("<L", length)) for group in (0x0009, 0x0011, 0x0021))
        yield f"group lengths of {length}", EXPLICIT, lengths + whole
    yield "pixel data of undefined length, never closed", EXPLICIT, _head() + _explicit(0x7FE0, 0x0010, b"OB", _ITEM, UNDEFINED)
    yield "a Part 10 file as a data set", EXPLICIT, encoded(image(side=8))
    yield "file meta information in the data set", EXPLICIT, _explicit(2, 0x10, b"UI", b"1.2.840.10008.1.2.2\0") + whole
    yield "group 0000 in the data set", EXPLICIT, _explicit(0, 2, b"UI", b"1.2\0") + whole
    yield "delimiters alone", EXPLICIT, (_ITEM_END + _SEQUENCE_END) * 1000
    yield "explicit read as implicit", IMPLICIT, whole
    yield "little read as big", "1.2.840.10008.1.2.2", whole
    yield "nothing", EXPLICIT, b""
    yield "one byte", EXPLICIT, b"\x08"
    for vr in (b"ZZ", b"\0\0", b"\xff\xff", b"sq", b"  ", b"UN"):
        yield f"VR {vr!r}", EXPLICIT, _head() + _explicit(0x0021, 0x0010, vr, b"FUZZ") + _explicit(0x0021, 0x1001, vr, b"abcd")
        yield f"SOP Instance UID of VR {vr!r}", EXPLICIT, _explicit(0x0008, 0x0018, vr, b"1.2.3\0") + whole
    private = b"".join(_explicit(0x0021, number, b"LO", b"ab") for number in range(0x1000, 0x10FF))
    yield "private elements without a creator", EXPLICIT, _head() + private
    yield "the same element again and again", EXPLICIT, whole[:200] * 400


def _many() -> Iterator[tuple[str, str, bytes]]:
    yield "50,000 elements", EXPLICIT, _head() + b"".join(_explicit(0x0021, n & 0xFFFF, b"LO", b"") for n in range(50_000))
    empty = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    yield "a sequence of 100,000 items", EXPLICIT, _head() + _explicit(0x0040, 0xA730, b"SQ", empty * 100_000)
    fragments = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 200_000 + _SEQUENCE_END
    yield "200,000 empty fragments", str(RLELossless), _bytes_of(PixelData=None) + _explicit(0x7FE0, 0x0010, b"OB", fragments, UNDEFINED)


def _bombs() -> Iterator[tuple[str, str, bytes]]:
    for megabytes in (64, 640):
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = packer.compress(_head() + struct.pack("<HH2sHL", 0x0021, 0x1010, b"OB", 0, megabytes << 20))
        packed += b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
        yield f"a deflate bomb of {megabytes} MB", DEFLATED, packed
    yield "deflated without an end", DEFLATED, zlib.compress(_bytes_of())[2:-20]
    yield "not deflated at all", DEFLATED, _bytes_of()


def _attributes() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "rows x columns x frames overflow", {"Rows": 65535, "Columns": 65535, "NumberOfFrames": str(2**31 - 1)}
    yield "no rows", {"Rows": 0}
    yield "bits that cannot be", {"BitsAllocated": 65535, "BitsStored": 65535, "HighBit": 65535}
    yield "samples", {"SamplesPerPixel": 65535}
    yield "spacing of nothing", {"PixelSpacing": ["0", "-0"]}
    yield "spacing beyond numbers", {"PixelSpacing": ["1e300", "1e-300"], "ImagePositionPatient": ["1e300", "-1e300", "1e300"]}
    yield "slope beyond numbers", {"RescaleSlope": "1e300", "RescaleIntercept": "-1e300"}
    yield "orientation of nothing", {"ImageOrientationPatient": ["0"] * 6}
    yield "a script in a name", {"PatientName": "<script>alert(1)</script>^%n%s", "PatientID": "'; DROP TABLE instances; --"}
    yield "a long name", {"PatientName": "A" * 60_000}
    yield "a terminal's escapes", {"StudyDescription": "\x1b]0;x\x07\x1b[2J"}
    yield "a path as an accession number", {"AccessionNumber": "../../../../etc"}
    yield "an unknown character set", {"SpecificCharacterSet": ["ISO_IR 999", "\\", "utf-7"]}
    yield "many character sets", {"SpecificCharacterSet": ["ISO 2022 IR 87"] * 500}
    yield "dates beyond the calendar", {"StudyDate": "99999999", "PatientBirthDate": "00000000", "PatientAge": "999Y"}


def _pixels() -> Iterator[Seed]:
    """Compressed frames that contradict the header, or claim too much."""
    claims = {
        "a JPEG of 65535 x 65535": (JPEGBaseline8Bit, b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0\xff\xd9"),
        "a JPEG 2000 of 2^31 x 2^31": (JPEG2000Lossless, _siz(2**31, 2**31, 1, 1)),
        "a JPEG 2000 of countless tiles": (JPEG2000Lossless, _siz(8, 8, 1, 1) + b"\xff\x90\0\x0a\0\0\xff\xff\xff\xff\0\1"),
        "RLE of countless segments": (RLELossless, struct.pack("<16L", 0xFFFFFFFF, *range(15)) + b"\x81" * 64),
    }
    for name, (syntax, frame) in claims.items():
        made = transcode(image(side=8), "rle")
        made.file_meta.TransferSyntaxUID = syntax
        made.PixelData = encapsulate([frame])
        content = encoded(made)
        yield Seed(name, CT, str(made.SOPInstanceUID), str(syntax), content[data_set_offset(content) :])
    large = image(side=8, Rows=30_000, Columns=30_000, SamplesPerPixel=1)
    large.PixelData = np.zeros(64, np.int16).tobytes()
    content = encoded(large)
    yield Seed("900 million pixels of which 64 came", CT, str(large.SOPInstanceUID), EXPLICIT, content[data_set_offset(content) :])


def _siz(x: int, y: int, tile_x: int, tile_y: int) -> bytes:
    """The start of a JPEG 2000 codestream (T.800 A.5.1)."""
    body = struct.pack(">HLLLLLLLLH", 0, x, y, 0, 0, tile_x, tile_y, 0, 0, 1) + b"\x0f\1\1"
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(body) + 2) + body
