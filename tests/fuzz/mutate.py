"""Damage by dice: to bytes, to the lengths and tags among them, and to the parts of a stream. The same dice, the same damage."""

import random
import struct
from collections.abc import Callable, Sequence

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
VRS = b"AEASATCSDADSDTFDFLISLOLTOBODOFOLOVOWPNSHSLSQSSSTSVTMUCUIULUNURUSUTUVZZ\0\0??"
HEADER_BYTES = 4096  # most of the damage goes where a parser has to decide something


def damaged(content: bytes, dice: random.Random) -> bytes:
    """One to eight times one of `_WAYS`."""
    found = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        if not found:
            break
        dice.choice(_WAYS)(found, _place(found, dice), dice)
    return bytes(found)


def _place(content: Sequence[int], dice: random.Random) -> int:
    return dice.randrange(min(len(content), HEADER_BYTES) if dice.random() < 0.8 else len(content))


def _flip(content: bytearray, at: int, dice: random.Random) -> None:
    content[at] ^= 1 << dice.randrange(8)


def _any_byte(content: bytearray, at: int, dice: random.Random) -> None:
    content[at] = dice.randrange(256)


def _edge(content: bytearray, at: int, dice: random.Random) -> None:
    """A number that lies: of two or four bytes, in either order."""
    size, order = dice.choice((2, 4)), dice.choice("<>")
    number = dice.choice(EDGES) & (0xFFFF if size == 2 else 0xFFFFFFFF)
    content[at : at + size] = struct.pack(order + ("H" if size == 2 else "L"), number)


def _vr(content: bytearray, at: int, dice: random.Random) -> None:
    """Where two capital letters stand, other ones."""
    for start in range(at, min(at + 64, len(content) - 1)):
        if 65 <= content[start] <= 90 and 65 <= content[start + 1] <= 90:
            which = 2 * dice.randrange(len(VRS) // 2)
            content[start : start + 2] = VRS[which : which + 2]
            return


def _cut_out(content: bytearray, at: int, dice: random.Random) -> None:
    del content[at : at + dice.choice((1, 2, 4, 8, 100, 2000))]


def _cut_off(content: bytearray, at: int, _: random.Random) -> None:
    del content[at:]


def _repeat(content: bytearray, at: int, dice: random.Random) -> None:
    content[at:at] = content[at : at + dice.choice((1, 8, 64, 4000))] * dice.choice((1, 2, 50))


def _noise(content: bytearray, at: int, dice: random.Random) -> None:
    content[at:at] = dice.randbytes(dice.choice((1, 2, 7, 64, 1000)))


def _blank(content: bytearray, at: int, dice: random.Random) -> None:
    size = min(dice.choice((2, 16, 256)), len(content) - at)
    content[at : at + size] = bytes((dice.choice((0, 0x20, 0x30, 0x5C, 0xFF)),)) * size


def _swap(content: bytearray, at: int, dice: random.Random) -> None:
    other, size = _place(content, dice), dice.choice((2, 8, 40))
    content[at : at + size], content[other : other + size] = content[other : other + size], content[at : at + size]


_WAYS: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    _flip, _flip, _any_byte, _edge, _edge, _edge, _vr, _vr, _cut_out, _cut_off, _repeat, _noise, _blank, _swap,
)  # fmt: skip


def shuffled(parts: Sequence[bytes], dice: random.Random) -> list[bytes]:
    """The parts of a stream: some of them damaged, left out, doubled, joined or in another order."""
    found = list(parts)
    for _ in range(dice.choice((1, 1, 2, 3))):
        at = dice.randrange(len(found))
        way = dice.randrange(6)
        if way == 0 and len(found) > 1:
            del found[at]
        elif way == 1:
            found.insert(at, found[at])
        elif way == 2:
            other = dice.randrange(len(found))
            found[at], found[other] = found[other], found[at]
        elif way == 3 and at + 1 < len(found):
            found[at : at + 2] = [found[at] + found[at + 1]]
        else:
            found[at] = damaged(found[at], dice)
    return found


def elements(dice: random.Random, depth: int = 0) -> bytes:
    """Elements in Explicit VR Little Endian that only look like DICOM: any tag, any VR, lengths that lie now and then, items in items."""
    found = bytearray()
    for _ in range(dice.choice((0, 1, 2, 5, 20)) if depth else dice.choice((1, 3, 10, 40))):
        group = dice.choice((0x0008, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0040, 0x5200, 0x6000, dice.randrange(65536)))
        number = dice.choice((0x0000, 0x0005, 0x0010, 0x0018, 0x0060, 0x1010, dice.randrange(65536)))
        which = 2 * dice.randrange(len(VRS) // 2)
        vr = VRS[which : which + 2]
        content = _sequence(dice, depth) if vr == b"SQ" else _text(dice)
        length = len(content) if dice.random() < 0.9 else dice.choice(EDGES)
        found += struct.pack("<HH2s", group, number, vr)
        long = vr in (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
        found += struct.pack("<HL", 0, length & 0xFFFFFFFF) if long else struct.pack("<H", length & 0xFFFF)
        found += content
    return bytes(found)


_PIECES = (
    b"", b"1", b"-1", b"1.5e308", b"nan", b"1\\2\\3", b"\\" * 9, b"9" * 400, b"A^B=C", b"\x1b$B\x30", b"\xff\xfe", b"../../x", b"<b>",
)  # fmt: skip


def _text(dice: random.Random) -> bytes:
    content = b"".join(dice.choice(_PIECES) for _ in range(dice.choice((0, 1, 1, 2, 6)))) + dice.randbytes(dice.choice((0, 0, 2, 16)))
    return content + b" " * (len(content) % 2)


def _sequence(dice: random.Random, depth: int) -> bytes:
    found = b""
    for _ in range(dice.choice((0, 1, 2)) if depth < 4 else 0):
        inside = elements(dice, depth + 1)
        if dice.random() < 0.5:
            found += struct.pack("<HHL", 0xFFFE, 0xE000, len(inside) if dice.random() < 0.9 else dice.choice(EDGES)) + inside
        else:
            found += struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + inside + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    return found
