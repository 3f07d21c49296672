"""Decoding of pixel data that are not compressed (PS3.5 8.1, 8.2)."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import PixelError
from imaging.pixels.codecs import Array
from imaging.pixels.pixel_spec import PixelSpec
from imaging.wire.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN


def decode_native(spec: PixelSpec, data: bytes) -> Array:
    """All frames, (N, Y, X) or (N, Y, X, 3).

    Raises
    ------
    PixelError
        There are fewer bytes than the header's size needs.
    """
    needed = (spec.frame_bits * spec.frames + 7) // 8
    if spec.photometric == "YBR_FULL_422" and (spec.samples != 3 or len(data) >= spec.decoded_bytes):
        return decode_native(replace(spec, photometric="YBR_FULL"), data)  # already expanded, as gateways that decompress write it
    if len(data) < needed:
        raise PixelError(f"{needed} bytes of pixel data expected, {len(data)} came", hint="the file is cut short or its header is wrong")
    if spec.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8, needed), bitorder="little")
        return bits[: spec.rows * spec.columns * spec.frames].reshape(spec.frames, *spec.shape)
    order: Literal["<", ">"] = ">" if spec.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
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
    return mask_unused_bits(spec, values.reshape(spec.frames, *spec.shape), spec.bits_stored, spec.high_bit)


def mask_unused_bits(spec: PixelSpec, values: Array, stored: int, high_bit: int) -> Array:
    """Extend the sign, and clear unused bits, which may hold other data (overlays)."""
    size = values.dtype.itemsize * 8
    if stored == size:
        return values.view(spec.dtype) if values.dtype.itemsize == spec.dtype.itemsize else values.astype(spec.dtype)
    view: NDArray[np.signedinteger] = values.view(f"{'i' if spec.signed else 'u'}{size // 8}")
    extended = (view << (size - 1 - high_bit)) >> (size - stored)
    return extended.astype(spec.dtype, copy=False)
