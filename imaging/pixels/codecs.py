"""Who decodes what: one ordered table of decoders per transfer syntax. The first that succeeds decides.

A decoder takes one frame's bytes and gives it in any integer type; sign and unused bits are set right after it, in `imaging.pixels.decode`.
Stored values stay stored values: no decoder converts colour, except JPEG 2000's own transform (PS3.5 8.2).
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
_END_WITHIN = 64  # bytes; some writers pad behind the last marker

Array = NDArray[np.generic]
Decoder = Callable[[bytes, PixelSpec], Array]


def _jpeg(frame: bytes, spec: PixelSpec) -> Array:
    """libjpeg-turbo 3: baseline, extended (12 bit), progressive, lossless. Naming one colour space on both sides keeps stored values."""
    _whole(frame)
    space = "rgb" if spec.samples == 3 else None
    return imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space)


def _whole(frame: bytes) -> None:
    """Refuse a frame without End of Image: every JPEG codec makes up what a frame that was cut short lacks, and says nothing of it."""
    if b"\xff\xd9" not in frame[-_END_WITHIN:]:
        raise ValueError("no end of image")


def _charls(frame: bytes, _spec: PixelSpec) -> Array:
    _whole(frame)  # CharLS turns for seconds on a frame that is cut short
    return imagecodecs.jpegls_decode(frame)


def _openjpeg(frame: bytes, _spec: PixelSpec) -> Array:
    return imagecodecs.jpeg2k_decode(frame)


def _pylibjpeg_openjpeg(frame: bytes, _spec: PixelSpec) -> Array:
    return openjpeg.decode(frame)


def _rle(frame: bytes, spec: PixelSpec) -> Array:
    """PS3.5 Annex G. One frame comes out plane by plane. (The codec of pylibjpeg-rle panics on damaged frames.)"""
    needed = (spec.rows * spec.columns * spec.samples * spec.bits_allocated + 7) // 8
    if len(frame) > 2 * needed + 1024:
        raise ValueError("more bytes than a frame can take")
    size = max(1, spec.bits_allocated // 8)
    _check_segments(frame, size * spec.samples)
    plain = imagecodecs.dicomrle_decode(frame, f"<u{size}")
    values = np.frombuffer(plain, f"<u{size}", needed // size)
    if spec.bits_allocated == 1:
        return np.unpackbits(values.view(np.uint8), count=spec.rows * spec.columns, bitorder="little").reshape(spec.shape)
    return np.ascontiguousarray(values.reshape(spec.samples, spec.rows, spec.columns).transpose(1, 2, 0)).reshape(spec.shape)


def _check_segments(frame: bytes, expected: int) -> None:
    """The header's offsets lead into the frame, one behind the other (PS3.5 G.5): imagecodecs' decoder follows them wherever they lead."""
    if len(frame) < _RLE_HEADER.size:
        raise ValueError("shorter than the header of its segments")
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    if count != expected:
        raise ValueError(f"{expected} segments expected, {count} came")
    ends = [*offsets[1:count], len(frame)]
    if offsets[0] != _RLE_HEADER.size or any(start >= end for start, end in zip(offsets, ends, strict=False)):
        raise ValueError("segments that lie outside of the frame, or in no order")


def _deflated_frame(frame: bytes, spec: PixelSpec) -> Array:
    """Deflated Image Frame Compression (PS3.5 A.4.11), never more than one frame's bytes."""
    plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, (spec.frame_bits + 7) // 8)
    if spec.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(plain, np.uint8), bitorder="little")
        return bits[: spec.rows * spec.columns].reshape(spec.shape)
    return np.frombuffer(plain, np.dtype(f"<u{spec.bits_allocated // 8}")).reshape(spec.shape)


JPEG2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
CODESTREAMS = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 57, 70, 80, 81, 90, 91, 201, 202, 203))

DECODERS: dict[str, tuple[Decoder, ...]] = {
    "1.2.840.10008.1.2.5": (_rle,),
    "1.2.840.10008.1.2.8.1": (_deflated_frame,),
    "1.2.840.10008.1.2.4.50": (_jpeg,),
    "1.2.840.10008.1.2.4.51": (_jpeg,),
    "1.2.840.10008.1.2.4.53": (_jpeg,),  # retired, spectral selection
    "1.2.840.10008.1.2.4.55": (_jpeg,),  # retired, full progression
    # Not imagecodecs' liblj92 or jpegsof3: both read past their memory where a Huffman table or a scan's parameters are damaged.
    "1.2.840.10008.1.2.4.57": (_jpeg,),
    "1.2.840.10008.1.2.4.70": (_jpeg,),
    "1.2.840.10008.1.2.4.80": (_charls,),
    "1.2.840.10008.1.2.4.81": (_charls,),
    "1.2.840.10008.1.2.4.90": (_openjpeg, _pylibjpeg_openjpeg),
    "1.2.840.10008.1.2.4.91": (_openjpeg, _pylibjpeg_openjpeg),
    # High throughput: not imagecodecs' OpenJPH, which wraps lossy overshoot round and swallows errors.
    "1.2.840.10008.1.2.4.201": (_openjpeg, _pylibjpeg_openjpeg),
    "1.2.840.10008.1.2.4.202": (_openjpeg, _pylibjpeg_openjpeg),
    "1.2.840.10008.1.2.4.203": (_openjpeg, _pylibjpeg_openjpeg),
}
