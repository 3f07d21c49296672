"""Tests every decoder on this machine: encodes a small image and decodes it with the node's own table of decoders."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from core.errors import NodeError
from imaging.pixels.codecs import DECODERS
from imaging.pixels.decode import decode_frames

Samples = np.ndarray[Any, np.dtype[Any]]
Encode = Callable[[Samples], bytes | bytearray]
LOSSY_TOLERANCE = 24  # of 255; the error is largest where the sample is steepest

_GREY16: Samples = (np.add.outer(np.arange(16), np.arange(16)) * 100).astype("<u2")
_GREY8: Samples = (_GREY16 // 16).astype(np.uint8)


def _rle(values: Samples) -> bytes:
    """Encode as RLE (PS3.5 Annex G): a header of 16 offsets, then the high and the low bytes, each packed."""
    planes = [bytes(imagecodecs.packbits_encode(values.view(np.uint8)[:, part::2].tobytes())) for part in (1, 0)]
    high, low = (plane + b"\0" * (len(plane) % 2) for plane in planes)
    return struct.pack("<16I", 2, 64, 64 + len(high), *[0] * 13) + high + low


def _deflate(values: Samples) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(values.tobytes()) + packer.flush()


_TAIL = "1.2.840.10008.1.2."
# transfer syntax -> (encoder, sample)
_SAMPLES: dict[str, tuple[Encode, Samples]] = {
    _TAIL + "5": (_rle, _GREY16),
    _TAIL + "8.1": (_deflate, _GREY16),
    **dict.fromkeys(
        [_TAIL + tail for tail in ("4.50", "4.51", "4.53", "4.55")], (lambda v: imagecodecs.jpeg8_encode(v, level=100), _GREY8)
    ),
    **dict.fromkeys([_TAIL + "4.57", _TAIL + "4.70"], (imagecodecs.ljpeg_encode, _GREY16)),
    **dict.fromkeys([_TAIL + "4.80", _TAIL + "4.81"], (imagecodecs.jpegls_encode, _GREY16)),
    **dict.fromkeys(
        [_TAIL + "4.90", _TAIL + "4.91"], (lambda v: imagecodecs.jpeg2k_encode(v, reversible=True, codecformat="J2K"), _GREY16)
    ),
    **dict.fromkeys([_TAIL + tail for tail in ("4.201", "4.202", "4.203")], (imagecodecs.htj2k_encode, _GREY16)),
}


def broken_decoders() -> tuple[list[str], int]:
    """Return (a sentence for each transfer syntax that fails, the number of those that work)."""
    broken = []
    for uid in DECODERS:
        try:
            problem = _decode_problem(uid)
        except (NodeError, RuntimeError, ImportError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            broken.append(f"{UID(uid).name}: {problem}")
    return broken, len(DECODERS) - len(broken)


def _decode_problem(uid: str) -> str:
    """Return what is wrong with the decoder of a transfer syntax; empty where nothing is."""
    if uid not in _SAMPLES:
        return "no sample image for it"
    encode, values = _SAMPLES[uid]
    decoded = decode_frames(_image(uid, bytes(encode(values)), values))
    error = int(np.abs(decoded.reshape(16, 16).astype(int) - values).max())
    return "" if error <= (LOSSY_TOLERANCE if values.dtype == np.uint8 else 0) else f"decoded wrongly, largest error {error}"


def _image(uid: str, frame: bytes, values: Samples) -> Dataset:
    bits = values.dtype.itemsize * 8
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(uid)
    ds.Rows = ds.Columns = 16
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    stored = 8 if bits == 8 else 16
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, stored, stored - 1
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    return ds
