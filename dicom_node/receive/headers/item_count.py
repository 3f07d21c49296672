"""Counts the items of sequences in front of the pixel data, without parsing: a file with too many is refused within milliseconds."""

from pathlib import Path

from imaging.limits.work_budget import MAX_ITEMS

ITEM_TAG = b"\xfe\xff\x00\xe0"
_PIXEL_DATA = b"\xe0\x7f\x10\x00"  # (7FE0,0010), little endian
_PIECE_BYTES, _MOST_BYTES = 1 << 20, 64 << 20
_OVERLAP_BYTES = len(ITEM_TAG) - 1


def has_too_many_items(path: Path | str) -> bool:
    """Whether more item tags than a reader accepts stand before the first tag of pixel data.

    By chance these four bytes stand once in 4 GB of a value, so that many of them are a sequence. Counted up to 64 MB, which at eight bytes
    for an item is far beyond the limit.
    """
    count, kept = 0, b""
    with open(path, "rb", buffering=0) as file:
        for _ in range(_MOST_BYTES // _PIECE_BYTES):
            piece = file.read(_PIECE_BYTES)
            content = kept + piece
            end = content.find(_PIXEL_DATA)
            count += content.count(ITEM_TAG, 0, end if end >= 0 else len(content))
            if count > MAX_ITEMS or end >= 0 or not piece:
                break
            kept = content[-_OVERLAP_BYTES:]
    return count > MAX_ITEMS
