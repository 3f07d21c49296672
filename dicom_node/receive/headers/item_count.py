"""Counts the items of sequences in front of the pixel data, without parsing: a file with too many is refused within milliseconds."""

import zlib
from collections.abc import Iterator
from pathlib import Path

from core.policy.admission import WHOLE_SLIDE
from imaging.limits.work_budget import MAX_ITEMS, MAX_TILE_ITEMS
from imaging.wire.part10 import data_set_offset
from imaging.wire.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

ITEM_TAG = b"\xfe\xff\x00\xe0"
_PIXEL_DATA = b"\xe0\x7f\x10\x00"  # (7FE0,0010), little endian
_PIECE_BYTES, _MOST_BYTES = 1 << 20, 64 << 20
_HEAD_BYTES = 4096  # of file meta information that names the transfer syntax
_OVERLAP_BYTES = len(ITEM_TAG) - 1


def has_too_many_items(path: Path | str) -> bool:
    """Whether more item tags than a reader accepts stand before the first tag of pixel data.

    By chance these four bytes stand once in 4 GB of a value, so that many of them are a sequence. Counted up to 64 MB, which at eight bytes
    for an item is far beyond the limit. A deflated data set is inflated for that, piece by piece. A whole slide may have many more items:
    those of its tiles.
    """
    count, kept, most = 0, b"", MAX_ITEMS
    for number, piece in enumerate(_pieces(path)):
        content = kept + piece
        if number == 0 and WHOLE_SLIDE.encode() in content[:_HEAD_BYTES]:
            most = MAX_TILE_ITEMS
        end = content.find(_PIXEL_DATA)
        count += content.count(ITEM_TAG, 0, end if end >= 0 else len(content))
        if count > most or end >= 0:
            break
        kept = content[-_OVERLAP_BYTES:]
    return count > most


def _pieces(path: Path | str) -> Iterator[bytes]:
    """Yield the file, or its inflated data set, up to 64 MB."""
    with open(path, "rb", buffering=0) as file:
        head = file.read(_HEAD_BYTES)
        deflated_at = _deflated_data_set(head)
        file.seek(deflated_at or 0)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS) if deflated_at else None
        left = _MOST_BYTES
        while left > 0 and (piece := file.read(_PIECE_BYTES)):
            if inflater is None:
                left -= len(piece)
                yield piece
                continue
            while left > 0 and piece:
                try:
                    inflated = inflater.decompress(piece, _PIECE_BYTES)
                except zlib.error:  # the reader of the header says so
                    return
                left -= len(inflated)
                yield inflated
                piece = inflater.unconsumed_tail


def _deflated_data_set(head: bytes) -> int | None:
    """Where the data set begins, if it is deflated (PS3.5 A.5)."""
    try:
        offset = data_set_offset(head)
    except (ValueError, IndexError):
        return None
    return offset if DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.encode() in head[:offset] else None
