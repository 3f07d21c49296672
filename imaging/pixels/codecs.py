"""The decoders of each transfer syntax, in the order in which they are tried. The first that succeeds decides.

A decoder takes the bytes of one frame and returns its values in any integer type; sign and unused bits are set afterwards, in
`imaging.pixels.decode`. Stored values stay stored values: no decoder converts colour, except JPEG 2000's own transform (PS3.5 8.2).
"""

import struct
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
import openjpeg.utils as openjpeg
from numpy.typing import NDArray

from imaging.pixels.pixel_spec import PixelSpec

_RLE_HEADER = struct.Struct("<16L")  # the number of segments, and where each begins (PS3.5 G.5)
_END_OF_IMAGE_WITHIN = 64  # bytes; some writers pad behind the last marker

Array = NDArray[np.generic]
Decoder = Callable[[bytes, PixelSpec], Array]


def _libjpeg(frame: bytes, spec: PixelSpec) -> Array:
    """libjpeg-turbo 3: baseline, extended (12 bit), progressive, lossless. Equal colour spaces on both sides keep the stored values."""
    _check_end_of_image(frame)
    space = "rgb" if spec.samples == 3 else None
    return imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space)


def _check_end_of_image(frame: bytes) -> None:
    """Raise ValueError for a frame without End of Image marker: JPEG codecs silently invent the rest of a truncated frame."""
    if b"\xff\xd9" not in frame[-_END_OF_IMAGE_WITHIN:]:
        raise ValueError("the frame has no End of Image marker")


def _charls(frame: bytes, _spec: PixelSpec) -> Array:
    """JPEG-LS."""
    _check_end_of_image(frame)  # CharLS runs for seconds on a truncated frame
    return imagecodecs.jpegls_decode(frame)


def _openjpeg(frame: bytes, _spec: PixelSpec) -> Array:
    """OpenJPEG through imagecodecs."""
    return imagecodecs.jpeg2k_decode(frame)


def _pylibjpeg_openjpeg(frame: bytes, _spec: PixelSpec) -> Array:
    """OpenJPEG through pylibjpeg."""
    return openjpeg.decode(frame)


def _rle(frame: bytes, spec: PixelSpec) -> Array:
    """RLE (PS3.5 Annex G); the codec returns a frame plane by plane. Not pylibjpeg-rle: it aborts on damaged frames."""
    needed = (spec.rows * spec.columns * spec.samples * spec.bits_allocated + 7) // 8
    if len(frame) > 2 * needed + 1024:
        raise ValueError("the frame has more bytes than its pixels can take")
    size = max(1, spec.bits_allocated // 8)
    _check_segments(frame, size * spec.samples)
    plain = imagecodecs.dicomrle_decode(frame, f"<u{size}")
    values = np.frombuffer(plain, f"<u{size}", needed // size)
    if spec.bits_allocated == 1:
        return np.unpackbits(values.view(np.uint8), count=spec.rows * spec.columns, bitorder="little").reshape(spec.shape)
    return np.ascontiguousarray(values.reshape(spec.samples, spec.rows, spec.columns).transpose(1, 2, 0)).reshape(spec.shape)


def _check_segments(frame: bytes, expected: int) -> None:
    """Check that the header's offsets are ascending and within the frame (PS3.5 G.5): imagecodecs' decoder does not check them."""
    if len(frame) < _RLE_HEADER.size:
        raise ValueError("the frame is shorter than an RLE header")
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    if count != expected:
        raise ValueError(f"{expected} segments expected, {count} came")
    ends = [*offsets[1:count], len(frame)]
    if offsets[0] != _RLE_HEADER.size or any(start >= end for start, end in zip(offsets, ends, strict=False)):
        raise ValueError("RLE segments lie outside of the frame or are not in order")


def _deflated_frame(frame: bytes, spec: PixelSpec) -> Array:
    """Deflated Image Frame Compression (PS3.5 A.4.11), inflated to at most the bytes of one frame."""
    plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, (spec.frame_bits + 7) // 8)
    if spec.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(plain, np.uint8), bitorder="little")
        return bits[: spec.rows * spec.columns].reshape(spec.shape)
    return np.frombuffer(plain, np.dtype(f"<u{spec.bits_allocated // 8}")).reshape(spec.shape)


DECODERS: dict[str, tuple[Decoder, ...]] = {
    "1.2.840.10008.1.2.5": (_rle,),
    "1.2.840.10008.1.2.8.1": (_deflated_frame,),
    "1.2.840.10008.1.2.4.50": (_libjpeg,),
    "1.2.840.10008.1.2.4.51": (_libjpeg,),
    "1.2.840.10008.1.2.4.53": (_libjpeg,),  # retired, spectral selection
    "1.2.840.10008.1.2.4.55": (_libjpeg,),  # retired, full progression
    # Not imagecodecs' liblj92 or jpegsof3: both read beyond their memory if a Huffman table or a scan's parameters are damaged.
    "1.2.840.10008.1.2.4.57": (_libjpeg,),
    "1.2.840.10008.1.2.4.70": (_libjpeg,),
    "1.2.840.10008.1.2.4.80": (_charls,),
    "1.2.840.10008.1.2.4.81": (_charls,),
    "1.2.840.10008.1.2.4.90": (_openjpeg, _pylibjpeg_openjpeg),
    "1.2.840.10008.1.2.4.91": (_openjpeg, _pylibjpeg_openjpeg),
    # High throughput: not imagecodecs' OpenJPH, which lets lossy values overflow and hides errors.
    "1.2.840.10008.1.2.4.201": (_openjpeg, _pylibjpeg_openjpeg),
    "1.2.840.10008.1.2.4.202": (_openjpeg, _pylibjpeg_openjpeg),
    "1.2.840.10008.1.2.4.203": (_openjpeg, _pylibjpeg_openjpeg),
}
