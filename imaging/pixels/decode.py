"""Decoding of pixel data in every transfer syntax to stored values. Frames are checked against the header before anything is allocated."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from core.counted import counted
from core.errors import PixelError
from imaging.pixels.codecs import DECODERS, Array, Decoder
from imaging.pixels.codestream import read_codestream
from imaging.pixels.native import decode_native, mask_unused_bits
from imaging.pixels.pixel_spec import MAX_DECODED_BYTES, PixelSpec, pixel_data, pixel_spec
from imaging.wire.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, JPEG_2000, NATIVE, WITH_CODESTREAM


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
            return _decode_floats(ds, keyword, dtype, max_bytes)
    return decode_pixel_data(pixel_spec(ds, max_bytes=max_bytes), pixel_data(ds))


def decode_pixel_data(spec: PixelSpec, data: bytes) -> Array:
    """Decode the value of a pixel data element, (N, Y, X) or (N, Y, X, 3). Raises `PixelError`."""
    if spec.transfer_syntax_uid in NATIVE:
        return decode_native(spec, data)
    frames = iter_frames(spec, data)
    first = next(frames)
    out = np.empty((spec.frames, *spec.shape), spec.dtype)
    out[0] = first
    count = 1
    for count, frame in enumerate(frames, start=2):
        out[count - 1] = frame
    if count != spec.frames:
        raise PixelError(f"{counted(spec.frames, 'frame')} expected, {count} came")
    return out


def iter_frames(spec: PixelSpec, data: bytes) -> Iterator[Array]:
    """Decode frame by frame, (Y, X) or (Y, X, 3) each, ``spec.frames`` of them. Raises `PixelError`."""
    if spec.transfer_syntax_uid in NATIVE:
        yield from decode_native(spec, data)
        return
    decoders = _decoders(spec)
    packed = generate_frames(data, number_of_frames=spec.frames, extended_offsets=spec.extended_offsets)
    for _ in range(spec.frames):
        try:
            frame = next(packed)
        except StopIteration:
            raise PixelError(f"{counted(spec.frames, 'frame')} expected, fewer came") from None
        except Exception as error:
            raise PixelError(
                f"the encapsulated pixel data cannot be split into {counted(spec.frames, 'frame')}: {type(error).__name__}",
                hint="it has fewer fragments than frames, or its offset table is wrong",
            ) from error
        yield _decode_frame(spec, frame, decoders)


def decode_frame(spec: PixelSpec, data: bytes) -> Array:
    """Decode the bytes of one frame, (Y, X) or (Y, X, 3): native samples, or a whole codestream. Raises `PixelError`."""
    if spec.transfer_syntax_uid in NATIVE:
        frame: Array = decode_native(replace(spec, frames=1), data)[0]
        return frame
    return _decode_frame(spec, data, _decoders(spec))


def _decoders(spec: PixelSpec) -> tuple[Decoder, ...]:
    decoders = DECODERS.get(spec.transfer_syntax_uid)
    if decoders is None:
        raise PixelError(f"no decoder for transfer syntax {spec.transfer_syntax_uid}", hint="send it uncompressed or as JPEG 2000")
    return decoders


def _decode_floats(ds: Dataset, keyword: str, dtype: str, max_bytes: int) -> Array:
    """Float or Double Float Pixel Data, which are never compressed."""
    spec = pixel_spec(ds, max_bytes=max_bytes)
    data = pixel_data(ds, keyword)
    order = ">" if spec.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    count = spec.frames * spec.rows * spec.columns
    if len(data) < count * int(dtype[1]):
        raise PixelError(f"{count * int(dtype[1])} bytes of float pixel data expected, {len(data)} came")
    return np.frombuffer(data, order + dtype, count).astype(dtype).reshape(spec.frames, *spec.shape)


def _decode_frame(spec: PixelSpec, frame: bytes, decoders: tuple[Decoder, ...]) -> Array:
    stream = read_codestream(frame)
    if stream is not None and (stream.rows, stream.columns, stream.samples) != (spec.rows, spec.columns, spec.samples):
        raise PixelError(
            f"the header says {spec.rows} x {spec.columns} x {spec.samples}, the compressed frame "
            f"{stream.rows} x {stream.columns} x {stream.samples}"
        )
    if stream is not None and stream.precision > spec.bits_allocated:
        raise PixelError(f"the header allocates {spec.bits_allocated} bits, the compressed frame has {stream.precision}")
    if stream is None and spec.transfer_syntax_uid in WITH_CODESTREAM:
        raise PixelError("a frame is not a JPEG, JPEG-LS or JPEG 2000 codestream")
    failures: list[str] = []
    for decoder in decoders:
        try:
            values = decoder(frame, spec)
        except Exception as error:  # codecs raise exceptions of many types; the next one is tried
            failures.append(f"{decoder.__name__.strip('_')}: {type(error).__name__}")
            continue
        if values.shape != spec.shape:
            failures.append(f"{decoder.__name__.strip('_')}: shape {values.shape}")
            continue
        if stream is None:  # RLE and deflated frames hold the bits of a native frame, with what lies outside of Bits Stored
            return values if spec.bits_allocated == 1 else mask_unused_bits(spec, values, spec.bits_stored, spec.high_bit)
        return _to_declared_type(spec, values, stream.precision, stream.signed)
    raise PixelError(f"no decoder could read a frame ({'; '.join(failures)})", hint="the frame is damaged or not what its header says")


def _to_declared_type(spec: PixelSpec, values: Array, precision: int, stream_signed: bool) -> Array:
    """A frame decoded from a codestream in the type that the header declares.

    Codecs return unsigned bits, and the header says the sign. JPEG 2000 states a sign itself, which is used: its samples are exact.
    """
    if values.dtype.itemsize * 8 > spec.dtype.itemsize * 8:
        values = values.astype(f"{values.dtype.kind}{spec.dtype.itemsize}")
    if spec.signed and not (stream_signed and values.dtype.kind == "i"):
        bits = precision if spec.transfer_syntax_uid in JPEG_2000 else spec.bits_stored
        bits = min(bits, values.dtype.itemsize * 8)
        return mask_unused_bits(spec, np.ascontiguousarray(values), bits, bits - 1)
    return values.astype(spec.dtype, copy=False)
