"""Metadata inside JPEG files: EXIF orientation is read, and what may identify a person or place is removed (ITU-T T.81 B.1, B.2)."""

import io
from collections.abc import Iterator

from PIL import Image

from core.errors import PixelError

_APP0, _APP2, _APP14, _APP15, _COM, _SOS = 0xE0, 0xE2, 0xEE, 0xEF, 0xFE, 0xDA
_ICC = b"ICC_PROFILE\0"
_EXIF_ORIENTATION = 0x0112


def remove_metadata(jpeg: bytes) -> bytes:
    """Return the JPEG without EXIF, XMP, IPTC and comments. JFIF, Adobe and ICC segments stay, because colours depend on them.

    What follows the end of the image is removed too: phones append further pictures, with metadata of their own.

    Raises
    ------
    PixelError
        The file has no scan, or a segment reaches beyond its end.
    """
    kept = [b"\xff\xd8"]
    for marker, start, end in _segments(jpeg):
        if marker == _SOS:
            kept.append(jpeg[start : _end_of_image(jpeg, end)])
            return b"".join(kept)
        application = _APP0 <= marker <= _APP15
        colour = marker in (_APP0, _APP14) or (marker == _APP2 and jpeg[start + 4 : start + 4 + len(_ICC)] == _ICC)
        if marker != _COM and (colour or not application):
            kept.append(jpeg[start:end])
    raise PixelError("the JPEG file has no image data", hint="it is damaged or cut short")


def read_orientation(jpeg: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, where the file gives none."""
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _segments(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment up to the first scan; ``start`` is the position of 0xFF."""
    at = 2
    while at + 4 <= len(jpeg):
        if jpeg[at] != 0xFF:
            break
        marker = jpeg[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if end > len(jpeg) or end < at + 4:
            break
        yield marker, at, end
        at = end
    raise PixelError("the JPEG file is damaged before its image data")


def _end_of_image(jpeg: bytes, start: int) -> int:
    """Return the position after the EOI marker of the image whose first scan begins at ``start``."""
    at = start
    while (at := jpeg.find(b"\xff", at)) >= 0 and at + 1 < len(jpeg):
        if jpeg[at + 1] == 0xD9:
            return at + 2
        at += 2 if jpeg[at + 1] != 0xFF else 1
    raise PixelError("the JPEG file has no end", hint="it is cut short")
