"""How the pixel data of a file were compressed with loss, read from their codestream: many headers do not say it (PS3.3 C.7.6.1.1.5)."""

from pathlib import Path

from pydicom.dataset import Dataset

from core.errors import OverBudget, PixelError
from imaging.pixels.codestream import read_codestream
from imaging.pixels.pixel_spec import PixelSpec, pixel_spec
from imaging.wire.data_elements import IMPLICIT_HEADER, ITEM
from imaging.wire.tolerant_stream import PixelLocation
from imaging.wire.transfer_syntaxes import JPEG_2000, JPEG_LS, MAY_BE_LOSSY

_HEAD_BYTES = 1 << 18  # of the first frame: segments with an ICC profile may precede the frame header
_HIGH_THROUGHPUT = "1.2.840.10008.1.2.4.203"


def is_lossy(path: Path, spec: PixelSpec, location: PixelLocation | None) -> bool:
    """Whether the first frame is compressed with loss. ``location``: of the pixel data; None: not known, and then False."""
    if spec.transfer_syntax_uid not in MAY_BE_LOSSY or location is None:
        return False
    with path.open("rb") as file:
        file.seek(location.offset)
        stream = read_codestream(_first_fragment(file.read(_HEAD_BYTES)))
    return stream is not None and stream.lossy


def found_compression(path: Path, header: Dataset, location: PixelLocation | None) -> Dataset:
    """Lossy Image Compression with ratio and method as the codestream shows them; an empty data set for an image without loss.

    Parameters
    ----------
    header
        The data set of the file ``path`` without its pixel data.
    location
        Of the pixel data.
    """
    found = Dataset()
    try:
        spec = pixel_spec(header, vr=location.vr if location else "", max_bytes=1 << 62)
    except (PixelError, OverBudget):  # the file is not an image, or one element of its description is broken or hostile
        return found
    if is_lossy(path, spec, location) and location is not None:
        found.LossyImageCompression = "01"
        native = spec.frames * spec.rows * spec.columns * spec.samples * spec.bits_allocated / 8
        found.LossyImageCompressionRatio = f"{max(1.0, native / (path.stat().st_size - location.offset)):.2f}"
        found.LossyImageCompressionMethod = _method(spec.transfer_syntax_uid)
    return found


def _method(transfer_syntax_uid: str) -> str:
    """The defined term of the compression (PS3.3 C.7.6.1.1.5.1)."""
    if transfer_syntax_uid in JPEG_LS:
        return "ISO_14495_1"
    if transfer_syntax_uid in JPEG_2000:
        return "ISO_15444_15" if transfer_syntax_uid == _HIGH_THROUGHPUT else "ISO_15444_1"
    return "ISO_10918_1"


def _first_fragment(content: bytes) -> bytes:
    """The beginning of the item behind the Basic Offset Table of encapsulated pixel data (PS3.5 A.4)."""
    at = 0
    for _ in range(2):
        if len(content) < at + IMPLICIT_HEADER.size:
            return b""
        group, element, length = IMPLICIT_HEADER.unpack_from(content, at)
        at += IMPLICIT_HEADER.size
        if group << 16 | element != ITEM:
            return b""
        start, at = at, at + length
    return content[start:]
