"""Stored pixel values out of every transfer syntax: checked against the header before anything is allocated."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from core.errors import PixelError
from imaging.pixels.codecs import CODESTREAMS, DECODERS, JPEG2000, Array, Decoder
from imaging.pixels.codestream import inspect
from imaging.pixels.pixel_spec import BIG_ENDIAN, MAX_DECODED_BYTES, NATIVE, PixelSpec, pixel_data, pixel_spec

__all__ = ["DECODERS", "MAX_DECODED_BYTES", "NATIVE", "PixelSpec", "decode", "decode_frames", "iter_frames", "pixel_data", "pixel_spec"]


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


def _decode_frame(spec: PixelSpec, frame: bytes, decoders: tuple[Decoder, ...]) -> Array:
    stream = inspect(frame)
    if stream is not None and (stream.rows, stream.columns, stream.samples) != (spec.rows, spec.columns, spec.samples):
        raise PixelError(
            f"the header says {spec.rows} x {spec.columns} x {spec.samples}, the compressed frame "
            f"{stream.rows} x {stream.columns} x {stream.samples}"
        )
    if stream is not None and stream.precision > spec.bits_allocated:
        raise PixelError(f"the header allocates {spec.bits_allocated} bits, the compressed frame has {stream.precision}")
    if stream is None and spec.transfer_syntax_uid in CODESTREAMS:
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
        bits = precision if spec.transfer_syntax_uid in JPEG2000 else spec.bits_stored
        bits = min(bits, values.dtype.itemsize * 8)
        return _true_bits(spec, np.ascontiguousarray(values), bits, bits - 1)
    return values.astype(spec.dtype, copy=False)
