"""Random damage to bytes, to lengths and tags among them, and to the parts of a stream. The same seed gives the same damage."""

import random
import struct
from collections.abc import Callable, Sequence

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
VRS = b"AEASATCSDADSDTFDFLISLOLTOBODOFOLOVOWPNSHSLSQSSSTSVTMUCUIULUNURUSUTUVZZ\0\0??"
HEADER_BYTES = 4096  # most of the damage is where a parser has to decide


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Apply one of `_MUTATIONS` one to eight times."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        if not found:
            break
        rng.choice(_MUTATIONS)(found, _place(found, rng), rng)
    return bytes(found)


def _place(content: Sequence[int], rng: random.Random) -> int:
    return rng.randrange(min(len(content), HEADER_BYTES) if rng.random() < 0.8 else len(content))


def _flip(content: bytearray, at: int, rng: random.Random) -> None:
    content[at] ^= 1 << rng.randrange(8)


def _any_byte(content: bytearray, at: int, rng: random.Random) -> None:
    content[at] = rng.randrange(256)


def _edge(content: bytearray, at: int, rng: random.Random) -> None:
    """Write a wrong number of two or four bytes, in either byte order."""
    size, order = rng.choice((2, 4)), rng.choice("<>")
    number = rng.choice(EDGES) & (0xFFFF if size == 2 else 0xFFFFFFFF)
    content[at : at + size] = struct.pack(order + ("H" if size == 2 else "L"), number)


def _vr(content: bytearray, at: int, rng: random.Random) -> None:
    """Replace two capital letters by others."""
    for start in range(at, min(at + 64, len(content) - 1)):
        if 65 <= content[start] <= 90 and 65 <= content[start + 1] <= 90:
            which = 2 * rng.randrange(len(VRS) // 2)
            content[start : start + 2] = VRS[which : which + 2]
            return


def _cut_out(content: bytearray, at: int, rng: random.Random) -> None:
    del content[at : at + rng.choice((1, 2, 4, 8, 100, 2000))]


def _cut_off(content: bytearray, at: int, _: random.Random) -> None:
    del content[at:]


def _repeat(content: bytearray, at: int, rng: random.Random) -> None:
    content[at:at] = content[at : at + rng.choice((1, 8, 64, 4000))] * rng.choice((1, 2, 50))


def _noise(content: bytearray, at: int, rng: random.Random) -> None:
    content[at:at] = rng.randbytes(rng.choice((1, 2, 7, 64, 1000)))


def _blank(content: bytearray, at: int, rng: random.Random) -> None:
    size = min(rng.choice((2, 16, 256)), len(content) - at)
    content[at : at + size] = bytes((rng.choice((0, 0x20, 0x30, 0x5C, 0xFF)),)) * size


def _swap(content: bytearray, at: int, rng: random.Random) -> None:
    other, size = _place(content, rng), rng.choice((2, 8, 40))
    content[at : at + size], content[other : other + size] = content[other : other + size], content[at : at + size]


_MUTATIONS: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    _flip, _flip, _any_byte, _edge, _edge, _edge, _vr, _vr, _cut_out, _cut_off, _repeat, _noise, _blank, _swap,
)  # fmt: skip


def mutate_stream(parts: Sequence[bytes], rng: random.Random) -> list[bytes]:
    """Return the parts of a stream with some of them damaged, omitted, repeated, joined or reordered."""
    found = list(parts)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(found))
        way = rng.randrange(6)
        if way == 0 and len(found) > 1:
            del found[at]
        elif way == 1:
            found.insert(at, found[at])
        elif way == 2:
            other = rng.randrange(len(found))
            found[at], found[other] = found[other], found[at]
        elif way == 3 and at + 1 < len(found):
            found[at : at + 2] = [found[at] + found[at + 1]]
        else:
            found[at] = mutate(found[at], rng)
    return found


def random_elements(rng: random.Random, depth: int = 0) -> bytes:
    """Return random elements in Explicit VR Little Endian: any tag, any VR, sometimes wrong lengths, nested items."""
    found = bytearray()
    for _ in range(rng.choice((0, 1, 2, 5, 20)) if depth else rng.choice((1, 3, 10, 40))):
        group = rng.choice((0x0008, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0040, 0x5200, 0x6000, rng.randrange(65536)))
        number = rng.choice((0x0000, 0x0005, 0x0010, 0x0018, 0x0060, 0x1010, rng.randrange(65536)))
        which = 2 * rng.randrange(len(VRS) // 2)
        vr = VRS[which : which + 2]
        content = _sequence(rng, depth) if vr == b"SQ" else _text(rng)
        length = len(content) if rng.random() < 0.9 else rng.choice(EDGES)
        found += struct.pack("<HH2s", group, number, vr)
        long = vr in (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
        found += struct.pack("<HL", 0, length & 0xFFFFFFFF) if long else struct.pack("<H", length & 0xFFFF)
        found += content
    return bytes(found)


_PIECES = (
    b"", b"1", b"-1", b"1.5e308", b"nan", b"1\\2\\3", b"\\" * 9, b"9" * 400, b"A^B=C", b"\x1b$B\x30", b"\xff\xfe", b"../../x", b"<b>",
)  # fmt: skip


def _text(rng: random.Random) -> bytes:
    content = b"".join(rng.choice(_PIECES) for _ in range(rng.choice((0, 1, 1, 2, 6)))) + rng.randbytes(rng.choice((0, 0, 2, 16)))
    return content + b" " * (len(content) % 2)


def _sequence(rng: random.Random, depth: int) -> bytes:
    found = b""
    for _ in range(rng.choice((0, 1, 2)) if depth < 4 else 0):
        inside = random_elements(rng, depth + 1)
        if rng.random() < 0.5:
            found += struct.pack("<HHL", 0xFFFE, 0xE000, len(inside) if rng.random() < 0.9 else rng.choice(EDGES)) + inside
        else:
            found += struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inside + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    return found
