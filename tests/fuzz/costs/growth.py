"""Mutations that make a data set costlier to read: more elements, items, levels and values, beside the damage of `tests.fuzz.mutations`."""

import random
import struct
from collections.abc import Callable

from tests.fuzz.mutations import mutate
from tests.fuzz.seed_files import LITTLE

MAX_BYTES = 1 << 20  # of a data set: longer ones cost more, but no more per byte
COUNTS = (3, 30, 300, 3000, 20_000)
DEPTHS = (3, 20, 100, 600)
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED), struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
EMPTY_ITEM, SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE000, 0), struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
# Tag, VR and a piece of a value, which is repeated.
VALUES = (
    (0x00080005, b"CS", b"\\"), (0x00080005, b"CS", b"ISO 2022 IR 87\\"), (0x00100010, b"PN", b"^="), (0x00100010, b"PN", b"\x1b$B"),
    (0x0020000D, b"UI", b"\\"), (0x00200013, b"IS", b"1\\"), (0x00180050, b"DS", b"1e9\\"), (0x00280010, b"US", b"\1\0"),
    (0x00091001, b"UC", b"\\"), (0x00091001, b"UN", EMPTY_ITEM), (0x00091001, b"UT", b"\xff\xfe"), (0x00180050, b"DS", b"9"),
)  # fmt: skip


def grow(data_set: bytes, syntax: str, rng: random.Random) -> bytes:
    """Return the data set with one mutation; at most `MAX_BYTES` long."""
    explicit = syntax != LITTLE
    places = boundaries(data_set, explicit)
    if len(places) < 3 or rng.random() < 0.35:
        return mutate(data_set, rng)[:MAX_BYTES]
    at = rng.choice(places)
    added = rng.choice(_ADDITIONS)(data_set, places, explicit, rng)
    return (data_set[:at] + added + data_set[at:])[:MAX_BYTES]


def boundaries(data_set: bytes, explicit: bool) -> list[int]:
    """Return where elements begin, up to the first one that cannot be followed or is longer than the rest."""
    found, at = [], 0
    while at + 12 <= len(data_set):
        vr = data_set[at + 4 : at + 6]
        if not explicit:
            head, length = 8, struct.unpack_from("<L", data_set, at + 4)[0]
        elif vr in LONG_VRS:
            head, length = 12, struct.unpack_from("<L", data_set, at + 8)[0]
        elif vr.isalpha() and vr.isupper():
            head, length = 8, struct.unpack_from("<H", data_set, at + 6)[0]
        else:
            break
        found.append(at)
        if length > len(data_set) - at - head:
            break
        at += head + length
    return found


def encode_element(tag: int, vr: bytes, value: bytes, explicit: bool, length: int | None = None) -> bytes:
    """Encode one element; ``length`` instead of the true one. A value too long for its VR is cut."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack("<L", len(value) if length is None else length) + value
    if vr in LONG_VRS:
        return head + vr + struct.pack("<HL", 0, len(value) if length is None else length) + value
    return head + vr + struct.pack("<H", len(value[:65534]) if length is None else length & 0xFFFF) + value[:65534]


def _items(_data_set: bytes, _places: list[int], explicit: bool, rng: random.Random) -> bytes:
    content = EMPTY_ITEM * rng.choice(COUNTS)
    if rng.random() < 0.5:
        return encode_element(0x0040A730, b"SQ", content, explicit)
    return encode_element(0x0040A730, b"SQ", content, explicit, UNDEFINED) + SEQUENCE_END * rng.choice((0, 1))


def _levels(_data_set: bytes, _places: list[int], explicit: bool, rng: random.Random) -> bytes:
    depth = rng.choice(DEPTHS)
    opened = (encode_element(0x0040A730, b"SQ", b"", explicit, UNDEFINED) + ITEM) * depth
    return opened + (ITEM_END + SEQUENCE_END) * rng.choice((0, depth))


def _values(_data_set: bytes, _places: list[int], explicit: bool, rng: random.Random) -> bytes:
    tag, vr, piece = rng.choice(VALUES)
    return encode_element(tag, vr, piece * rng.choice(COUNTS), explicit)


def _elements(_data_set: bytes, _places: list[int], explicit: bool, rng: random.Random) -> bytes:
    vr = rng.choice((b"LO", b"UN", b"SQ", b"DS", b"OB"))
    return b"".join(encode_element(0x00210000 + number, vr, b"", explicit) for number in range(min(rng.choice(COUNTS), 0xFFFF)))


def _again(data_set: bytes, places: list[int], _explicit: bool, rng: random.Random) -> bytes:
    """Repeat some of its own elements."""
    first, last = sorted(rng.sample(range(len(places)), 2))
    return data_set[places[first] : places[last]][:65536] * rng.choice((1, 8, 64))


_ADDITIONS: tuple[Callable[[bytes, list[int], bool, random.Random], bytes], ...] = (_items, _levels, _values, _values, _elements, _again)
