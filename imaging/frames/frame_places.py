"""Finds where each frame of a multi-frame image lies in its file, without reading the pixels (PS3.5 8.2, A.4)."""

import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.counted import counted
from core.errors import PixelError
from imaging.frames.held_file import HeldFile
from imaging.limits.work_budget import MAX_FRAGMENTS
from imaging.pixels.pixel_spec import PixelSpec
from imaging.wire.tolerant_stream import PixelLocation
from imaging.wire.transfer_syntaxes import NATIVE

_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_HEADER = struct.Struct("<HHL")

Span = tuple[int, int]  # offset in the file, length in bytes


@dataclass(frozen=True, slots=True)
class _Fragments:
    """The fragments of encapsulated pixel data.

    ``starts``: offsets of the items, relative to the first one; ``spans``: of their content in the file; ``table``: Basic Offset Table.
    """

    starts: tuple[int, ...]
    spans: tuple[Span, ...]
    table: tuple[int, ...]


def frame_places(file: HeldFile, spec: PixelSpec, location: PixelLocation) -> Sequence[tuple[Span, ...]]:
    """The spans whose bytes, joined, are one frame: one for each frame of a native image, the fragments of an encapsulated one.

    Raises
    ------
    PixelError
        The pixel data end too early, or the frames cannot be told apart because there is no offset table.
    """
    if spec.transfer_syntax_uid in NATIVE:
        return _native_places(file, spec, location)
    fragments = _read_fragments(file, location)
    if spec.extended_offsets is not None:
        offsets: Sequence[int] = struct.unpack(f"<{len(spec.extended_offsets[0]) // 8}Q", spec.extended_offsets[0][: 8 * spec.frames])
    elif fragments.table:
        offsets = fragments.table
    elif len(fragments.spans) == spec.frames:
        offsets = fragments.starts
    elif spec.frames == 1:
        offsets = fragments.starts[:1]
    elif len(fragments.spans) < spec.frames:
        came = counted(len(fragments.spans), "fragment")
        raise PixelError(f"{spec.frames} frames of pixel data expected, {came} came", hint="frames are missing, or the header is wrong")
    else:
        raise PixelError(
            f"{spec.frames} frames in {counted(len(fragments.spans), 'fragment')} without an offset table cannot be told apart",
            hint="send the image with a Basic or Extended Offset Table",
        )
    if len(offsets) != spec.frames or any(there <= here for here, there in pairwise(offsets)):
        expected = counted(spec.frames, "frame")
        raise PixelError(f"{expected} expected, the offset table of the pixel data has {len(offsets)} or is out of order")
    firsts = [bisect_left(fragments.starts, offset) for offset in offsets]
    if any(first >= len(fragments.starts) or fragments.starts[first] != at for first, at in zip(firsts, offsets, strict=True)):
        raise PixelError("the offset table of the pixel data points to places where no fragment begins")
    ends = [*firsts[1:], len(fragments.spans)]
    return [fragments.spans[first:end] for first, end in zip(firsts, ends, strict=True)]


def _native_places(file: HeldFile, spec: PixelSpec, location: PixelLocation) -> Sequence[tuple[Span, ...]]:
    length = location.length if location.length is not None else file.size_bytes - location.offset
    samples = 2 if spec.photometric == "YBR_FULL_422" and length < spec.decoded_bytes else spec.samples
    bits = spec.rows * spec.columns * samples * spec.bits_allocated
    if bits % 8:
        raise PixelError("frames of one bit a pixel that do not end at a byte are not read one at a time")
    size = bits // 8
    there = min(length, file.size_bytes - location.offset)
    if size * spec.frames > there:
        raise PixelError(f"{size * spec.frames} bytes of pixel data expected, {there} came", hint="the file is cut short")
    return [((location.offset + number * size, size),) for number in range(spec.frames)]


def _read_fragments(file: HeldFile, location: PixelLocation) -> _Fragments:
    """Walk over the items of the pixel data; each costs a read of 8 bytes."""
    at, spans = location.offset, list[Span]()
    while len(header := file.read(at, _HEADER.size)) == _HEADER.size:
        group, element, length = _HEADER.unpack(header)
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM or at + _HEADER.size + length > file.size_bytes:
            raise PixelError("the encapsulated pixel data are damaged or end too early", hint="send the image again")
        spans.append((at + _HEADER.size, length))
        if len(spans) > MAX_FRAGMENTS:
            raise PixelError(f"more than {MAX_FRAGMENTS} fragments of pixel data")
        at += _HEADER.size + length
    if len(spans) < 2:
        raise PixelError("the encapsulated pixel data hold no frame", hint="send the image again")
    (table_at, table_bytes), *pixels = spans
    table = struct.unpack(f"<{table_bytes // 4}L", file.read(table_at, table_bytes // 4 * 4))
    first = pixels[0][0]
    return _Fragments(tuple(offset - first for offset, _ in pixels), tuple(pixels), table)
