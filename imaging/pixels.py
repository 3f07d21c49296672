"""Stored pixel values out of every transfer syntax: checked against the header before anything is allocated.

One ordered table (`DECODERS`) says who decodes what; the first decoder that succeeds decides. Decoders take one frame's bytes
and give it in any integer type; sign, unused bits and shape are set right in one place, after them (PS3.5 8).
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import imagecodecs
import numpy as np
import openjpeg.utils as openjpeg
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from core.errors import PixelError
from imaging.codestream import inspect
from imaging.values import Reader, tolerating

Array = NDArray[np.generic]
MAX_DECODED_BYTES = 2 << 30

NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})
BIG_ENDIAN = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, slots=True)
class PixelSpec:
    """What the header says of the pixel data (PS3.3 C.7.6.3). ``frame_bytes`` is one native frame's length."""

    transfer_syntax_uid: str
    rows: int
    columns: int
    samples: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: int
    words: bool = False  # VR OW: matters for 8-bit values in big endian only (PS3.5 8.2)
    extended_offsets: tuple[bytes, bytes] | None = None

    @property
    def dtype(self) -> np.dtype[np.generic]:
        size = max(8, self.bits_allocated)
        return np.dtype(f"{'i' if self.signed else 'u'}{size // 8}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def decoded_bytes(self) -> int:
        return self.frames * self.rows * self.columns * self.samples * self.dtype.itemsize

    @property
    def frame_bits(self) -> int:
        """Length in bits of one native frame; 4:2:2 stores two samples per pixel (PS3.3 C.7.6.3.1.2)."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.bits_allocated


def pixel_spec(ds: Dataset, *, vr: str = "", max_bytes: int = MAX_DECODED_BYTES) -> PixelSpec:
    """Read and check the image pixel module.

    Raises
    ------
    PixelError
        An attribute is missing or senseless, or the decoded frames would take more than ``max_bytes``.
    """
    notes: list[str] = []
    with tolerating(notes):
        read = Reader(ds, notes)
        syntax = _syntax(ds)
        rows, columns = read.integer("Rows", low=1), read.integer("Columns", low=1)
        allocated = read.integer("BitsAllocated", low=1, high=64)
        if rows is None or columns is None or allocated is None:
            raise PixelError("Rows, Columns or Bits Allocated is missing or not a positive number", hint="this is no readable image")
        stored = read.integer("BitsStored", low=1, high=allocated) or allocated
        offsets = ds.get("ExtendedOffsetTable"), ds.get("ExtendedOffsetTableLengths")
        spec = PixelSpec(
            transfer_syntax_uid=syntax,
            rows=rows,
            columns=columns,
            samples=read.integer("SamplesPerPixel", low=1) or 1,
            frames=read.integer("NumberOfFrames", low=1) or 1,
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=read.integer("HighBit", low=0, high=allocated - 1) if "HighBit" in ds else stored - 1,  # type: ignore[arg-type]
            signed=read.integer("PixelRepresentation") == 1,
            photometric=read.text("PhotometricInterpretation") or "MONOCHROME2",
            planar=read.integer("PlanarConfiguration") or 0,
            words=(vr or _pixel_vr(ds)) == "OW",
            extended_offsets=offsets if offsets[0] and offsets[1] else None,
        )
    _check(spec, max_bytes)
    return spec


def _pixel_vr(ds: Dataset) -> str:
    raw = ds.get_item("PixelData") if "PixelData" in ds else None
    return "" if raw is None else str(raw.VR or "OW")


def _syntax(ds: Dataset) -> str:
    meta = getattr(ds, "file_meta", None)
    named = str(meta.get("TransferSyntaxUID", "") or "") if meta is not None else ""
    if named:
        return named
    implicit, little = ds.original_encoding
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little in (True, None) else BIG_ENDIAN


def _check(spec: PixelSpec, max_bytes: int) -> None:
    if spec.samples not in (1, 3):
        raise PixelError(f"1 or 3 samples per pixel expected, {spec.samples} came")
    if spec.bits_allocated not in (1, 8, 16, 32, 64):
        raise PixelError(f"1, 8, 16, 32 or 64 bits allocated expected, {spec.bits_allocated} came")
    if spec.high_bit is None or spec.high_bit + 1 < spec.bits_stored:
        raise PixelError("High Bit is smaller than Bits Stored allows")
    if spec.decoded_bytes > max_bytes:
        raise PixelError(
            f"{spec.frames} frame(s) of {spec.rows} x {spec.columns} x {spec.samples} would take {spec.decoded_bytes} bytes, "
            f"more than the {max_bytes} allowed"
        )


def decode_frames(ds: Dataset, *, max_bytes: int = MAX_DECODED_BYTES) -> Array:
    """Decode all frames of a data set read with its pixels.

    Returns
    -------
    ndarray
        Stored values, (N, Y, X), or (N, Y, X, 3) whatever the planar configuration; signed or unsigned integers of Bits Allocated
        (float32/float64 for float pixel data). Nothing is rescaled, no colour is converted except by JPEG 2000's own transform.

    Raises
    ------
    PixelError
        No pixel data, an unsupported transfer syntax, or data that do not agree with the header.
    """
    for keyword, dtype in (("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")):
        if keyword in ds:
            return _floats(ds, keyword, dtype, max_bytes)
    return decode(pixel_spec(ds, max_bytes=max_bytes), pixel_data(ds))


def pixel_data(ds: Dataset, keyword: str = "PixelData") -> bytes:
    """The value of the pixel data element. Raises `PixelError` if there is none."""
    try:
        data = ds.get(keyword)
    except Exception as error:  # pydicom has many ways to fail on a broken element
        raise PixelError(f"{keyword} cannot be read: {type(error).__name__}") from error
    if not isinstance(data, bytes) or not data:
        raise PixelError("the instance holds no pixel data", hint="send the image, not only its header")
    return data


def decode(spec: PixelSpec, data: bytes) -> Array:
    """Decode the value of a pixel data element: (N, Y, X) or (N, Y, X, 3). Raises `PixelError`."""
    if spec.transfer_syntax_uid in NATIVE:
        return _native(spec, data)
    frames = iter_frames(spec, data)
    first = next(frames)
    out = np.empty((spec.frames, *spec.shape), spec.dtype)
    out[0] = first
    count = 1
    for count, frame in enumerate(frames, start=2):
        out[count - 1] = frame
    if count != spec.frames:
        raise PixelError(f"{spec.frames} frames expected, {count} came")
    return out


def iter_frames(spec: PixelSpec, data: bytes) -> Iterator[Array]:
    """Decode frame by frame, (Y, X) or (Y, X, 3) each, at most ``spec.frames``."""
    if spec.transfer_syntax_uid in NATIVE:
        yield from _native(spec, data)
        return
    decoders = DECODERS.get(spec.transfer_syntax_uid)
    if decoders is None:
        raise PixelError(f"no decoder for transfer syntax {spec.transfer_syntax_uid}", hint="send it uncompressed or as JPEG 2000")
    packed = generate_frames(data, number_of_frames=spec.frames, extended_offsets=spec.extended_offsets)
    for _ in range(spec.frames):
        try:
            frame = next(packed)
        except StopIteration:
            raise PixelError(f"{spec.frames} frames expected, fewer came") from None
        except Exception as error:
            raise PixelError(f"the encapsulated pixel data cannot be taken apart: {type(error).__name__}") from error
        yield _decode_frame(spec, frame, decoders)


def _native(spec: PixelSpec, data: bytes) -> Array:
    needed = (spec.frame_bits * spec.frames + 7) // 8
    if spec.photometric == "YBR_FULL_422" and (spec.samples != 3 or len(data) >= spec.decoded_bytes):
        return _native(replace(spec, photometric="YBR_FULL"), data)  # already expanded, as decompressing gateways leave it
    if len(data) < needed:
        raise PixelError(f"{needed} bytes of pixel data expected, {len(data)} came", hint="the file is cut short or its header is wrong")
    if spec.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8, needed), bitorder="little")
        return bits[: spec.rows * spec.columns * spec.frames].reshape(spec.frames, *spec.shape)
    order: Literal["<", ">"] = ">" if spec.transfer_syntax_uid == BIG_ENDIAN else "<"
    if order == ">" and spec.bits_allocated == 8 and spec.words:
        data = np.frombuffer(data, ">u2", len(data) // 2).astype("<u2").tobytes()
    values = np.frombuffer(data, spec.dtype.newbyteorder(order), needed // spec.dtype.itemsize)
    if order == ">":
        values = values.astype(spec.dtype)
    if spec.photometric == "YBR_FULL_422":
        if spec.columns % 2:
            raise PixelError("an even number of columns is expected of YBR_FULL_422")
        pairs = values.reshape(spec.frames, spec.rows, spec.columns // 2, 4)
        out = np.empty((spec.frames, spec.rows, spec.columns // 2, 2, 3), spec.dtype)
        out[..., 0] = pairs[..., 0:2]
        out[..., 1:] = pairs[..., None, 2:4]
        return out.reshape(spec.frames, *spec.shape)
    if spec.samples == 3 and spec.planar == 1:
        planes = values.reshape(spec.frames, 3, spec.rows, spec.columns)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return _true_bits(spec, values.reshape(spec.frames, *spec.shape), spec.bits_stored, spec.high_bit)


def _true_bits(spec: PixelSpec, values: Array, stored: int, high_bit: int) -> Array:
    """Sign-extend, and clear what other data (overlays) sit in the unused bits."""
    size = values.dtype.itemsize * 8
    if stored == size:
        return values.view(spec.dtype) if values.dtype.itemsize == spec.dtype.itemsize else values.astype(spec.dtype)
    view: NDArray[np.signedinteger] = values.view(f"{'i' if spec.signed else 'u'}{size // 8}")
    extended = (view << (size - 1 - high_bit)) >> (size - stored)
    return extended.astype(spec.dtype, copy=False)


def _floats(ds: Dataset, keyword: str, dtype: str, max_bytes: int) -> Array:
    spec = pixel_spec(ds, max_bytes=max_bytes)
    data = pixel_data(ds, keyword)
    order = ">" if spec.transfer_syntax_uid == BIG_ENDIAN else "<"
    count = spec.frames * spec.rows * spec.columns
    if len(data) < count * int(dtype[1]):
        raise PixelError(f"{count * int(dtype[1])} bytes of float pixel data expected, {len(data)} came")
    return np.frombuffer(data, order + dtype, count).astype(dtype).reshape(spec.frames, *spec.shape)


# ---- compressed frames -------------------------------------------------------------------------------------------------------------

Decoder = Callable[[bytes, PixelSpec], Array]


def _decode_frame(spec: PixelSpec, frame: bytes, decoders: tuple[Decoder, ...]) -> Array:
    stream = inspect(frame)
    if stream is not None and (stream.rows, stream.columns, stream.samples) != (spec.rows, spec.columns, spec.samples):
        raise PixelError(
            f"the header says {spec.rows} x {spec.columns} x {spec.samples}, the compressed frame "
            f"{stream.rows} x {stream.columns} x {stream.samples}"
        )
    if stream is not None and stream.precision > spec.bits_allocated:
        raise PixelError(f"the header allocates {spec.bits_allocated} bits, the compressed frame has {stream.precision}")
    if stream is None and spec.transfer_syntax_uid in _CODESTREAMS:
        raise PixelError("a frame is no JPEG, JPEG-LS or JPEG 2000 codestream")
    failures: list[str] = []
    for decoder in decoders:
        try:
            values = decoder(frame, spec)
        except Exception as error:  # any codec may fail in its own way; the next one is asked
            failures.append(f"{decoder.__name__.strip('_')}: {type(error).__name__}")
            continue
        if values.shape != spec.shape:
            failures.append(f"{decoder.__name__.strip('_')}: shape {values.shape}")
            continue
        return _fit(spec, values, stream.precision if stream else spec.bits_stored, stream.signed if stream else None)
    raise PixelError(f"no decoder could read a frame ({'; '.join(failures)})", hint="the frame is damaged or not what its header says")


def _fit(spec: PixelSpec, values: Array, precision: int, stream_signed: bool | None) -> Array:
    """Codecs give the bits; the header says the sign. JPEG 2000 alone carries a sign of its own and wins, as its samples are exact."""
    if values.dtype.itemsize * 8 > spec.dtype.itemsize * 8:
        values = values.astype(f"{values.dtype.kind}{spec.dtype.itemsize}")
    if spec.signed and not (stream_signed and values.dtype.kind == "i"):
        bits = precision if spec.transfer_syntax_uid in _JPEG2000 else spec.bits_stored
        bits = min(bits, values.dtype.itemsize * 8)
        return _true_bits(spec, np.ascontiguousarray(values), bits, bits - 1)
    return values.astype(spec.dtype, copy=False)


def _jpeg(frame: bytes, spec: PixelSpec) -> Array:
    """libjpeg-turbo 3: baseline, extended (12 bit), progressive, lossless. Naming one colour space on both sides keeps stored values."""
    space = "rgb" if spec.samples == 3 else None
    return imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space)


def _ljpeg(frame: bytes, spec: PixelSpec) -> Array:
    if spec.samples != 1:
        raise ValueError("one component only")
    return imagecodecs.ljpeg_decode(frame)


def _sof3(frame: bytes, _spec: PixelSpec) -> Array:
    return np.ascontiguousarray(imagecodecs.jpegsof3_decode(frame))


def _charls(frame: bytes, _spec: PixelSpec) -> Array:
    if not frame.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise ValueError("no end of image")  # CharLS turns for seconds on a frame that is cut short
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
    plain = imagecodecs.dicomrle_decode(frame, f"<u{size}")
    values = np.frombuffer(plain, f"<u{size}", needed // size)
    if spec.bits_allocated == 1:
        return np.unpackbits(values.view(np.uint8), count=spec.rows * spec.columns, bitorder="little").reshape(spec.shape)
    return np.ascontiguousarray(values.reshape(spec.samples, spec.rows, spec.columns).transpose(1, 2, 0)).reshape(spec.shape)


def _deflated_frame(frame: bytes, spec: PixelSpec) -> Array:
    """Deflated Image Frame Compression (PS3.5 A.4.11), never more than one frame's bytes."""
    plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame, (spec.frame_bits + 7) // 8)
    if spec.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(plain, np.uint8), bitorder="little")
        return bits[: spec.rows * spec.columns].reshape(spec.shape)
    return np.frombuffer(plain, np.dtype(f"<u{spec.bits_allocated // 8}")).reshape(spec.shape)


_JPEG2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
_CODESTREAMS = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 57, 70, 80, 81, 90, 91, 201, 202, 203))

DECODERS: dict[str, tuple[Decoder, ...]] = {
    "1.2.840.10008.1.2.5": (_rle,),
    "1.2.840.10008.1.2.8.1": (_deflated_frame,),
    "1.2.840.10008.1.2.4.50": (_jpeg,),
    "1.2.840.10008.1.2.4.51": (_jpeg,),
    "1.2.840.10008.1.2.4.53": (_jpeg,),  # retired, spectral selection
    "1.2.840.10008.1.2.4.55": (_jpeg,),  # retired, full progression
    "1.2.840.10008.1.2.4.57": (_ljpeg, _sof3, _jpeg),
    "1.2.840.10008.1.2.4.70": (_ljpeg, _sof3, _jpeg),
    "1.2.840.10008.1.2.4.80": (_charls,),
    "1.2.840.10008.1.2.4.81": (_charls,),
    "1.2.840.10008.1.2.4.90": (_openjpeg, _pylibjpeg_openjpeg),
    "1.2.840.10008.1.2.4.91": (_openjpeg, _pylibjpeg_openjpeg),
    # High throughput: not imagecodecs' OpenJPH, which wraps lossy overshoot round and swallows errors.
    "1.2.840.10008.1.2.4.201": (_openjpeg, _pylibjpeg_openjpeg),
    "1.2.840.10008.1.2.4.202": (_openjpeg, _pylibjpeg_openjpeg),
    "1.2.840.10008.1.2.4.203": (_openjpeg, _pylibjpeg_openjpeg),
}
