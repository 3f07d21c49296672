"""Data sets that are small and well-formed in length, and cost much to read: the table of measured defects, and others of that kind."""

import struct
import zlib
from collections.abc import Iterator

from imaging.wire.part10 import data_set_offset, encode_head
from tests.fuzz.seed_files import Seed
from tests.support.series import CT, encoded, image

IMPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF
UID = str(image(side=8).SOPInstanceUID)
EMPTY_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def costly_datasets(scale: float = 1.0) -> Iterator[tuple[Seed, str]]:
    """Yield each with the tag that the refusal names ("" for one that is read). ``scale``: multiplies the lengths."""
    two, eight = int(scale * (2 << 20)), int(scale * (8 << 20))
    name, items = 0x00100010, b"".join(EMPTY_ITEM for _ in range(eight // 8))
    yield _seed("backslashes in PatientName", {name: b"\\" * two}), "(0010,0010)"
    yield _seed("backslashes in UI", {0x0020000D: b"\\" * two}), "(0020,000D)"
    yield _seed("backslashes in IS", {0x00200013: b"\\" * two}), "(0020,0013)"
    yield _seed("backslashes in SpecificCharacterSet", {0x00080005: b"\\" * two}), "(0008,0005)"
    yield _seed("components in PatientName", {name: b"^=" * (eight // 2)}), "(0010,0010)"
    yield _seed("escapes in PatientName", {name: b"\x1b(B" * (two // 3)}), "(0010,0010)"
    yield _seed("numbers in Rows", {0x00280010: b"\1\0" * eight}), "(0028,0010)"
    yield _seed("empty items", {0x0040A730: items + SEQUENCE_END}, 0x0040A730), "(0040,A730)"
    yield _seed("empty items of defined length", {0x0018A001: items}), "(0018,A001)"
    many = b"".join(struct.pack("<HHL", 0x0021, n & 0xFFFF, 0) for n in range(eight // 8))
    yield _seed("empty elements", {}, then=many), "(0021,"
    character_set = struct.pack("<HHL", 0x0008, 0x0005, 512) + b"\\" * 512
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(character_set)) + character_set
    yield _seed("character sets in items", {0x0040A730: item * (two // len(item)) + SEQUENCE_END}, 0x0040A730), "(0008,0005)"
    yield _deflated("deflated empty items", items + SEQUENCE_END), "(0040,A730)"
    yield _seed("a Python codec", {0x00080005: b"punycode", name: b"ab-" + b"9" * int(scale * 32_000)}), ""


def file_of(seed: Seed) -> bytes:
    """The data set as the listener stores it."""
    return encode_head(sop_class_uid=seed.sop_class, sop_instance_uid=seed.sop_instance, transfer_syntax_uid=seed.syntax) + seed.data_set


def _seed(name: str, values: dict[int, bytes], open_sequence: int = 0, then: bytes = b"") -> Seed:
    """Implicit VR, in which values of every VR may be long. ``open_sequence``: the tag of undefined length."""
    elements = dict(_elements()) | values
    encoded_elements = (
        struct.pack("<HHL", tag >> 16, tag & 0xFFFF, UNDEFINED if tag == open_sequence else len(elements[tag])) + elements[tag]
        for tag in sorted(elements)
    )
    return Seed(name, CT, UID, IMPLICIT, b"".join(encoded_elements) + then)


def _deflated(name: str, items: bytes) -> Seed:
    content = encoded(image(side=8, PixelData=None))
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    plain = content[data_set_offset(content) :] + struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, UNDEFINED) + items
    return Seed(name, CT, UID, DEFLATED, packer.compress(plain) + packer.flush())


def _elements() -> Iterator[tuple[int, bytes]]:
    """The tags and values of a CT slice without its pixels."""
    content = encoded(image(side=8, PixelData=None))
    at = data_set_offset(content)
    while at < len(content):
        group, number, _, length = struct.unpack_from("<HH2sH", content, at)  # no VR in it has a long length
        yield group << 16 | number, content[at + 8 : at + 8 + length]
        at += 8 + length
