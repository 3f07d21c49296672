"""Converts an image to another transfer syntax without loss. For tests: the node itself stores what it receives."""

import copy

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from rle.rle import encode_frame as encode_rle  # type: ignore[import-not-found]

from core.errors import PixelError
from imaging.pixels.decode import decode_frames

LOSSLESS: dict[str, UID] = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big_endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg_lossless": JPEGLossless,
    "jpeg_lossless_sv1": JPEGLosslessSV1,
    "jpeg_ls": JPEGLSLossless,
    "jpeg_2000": JPEG2000Lossless,
    "htj2k": HTJ2KLossless,
}
_NATIVE = frozenset({"implicit", "explicit", "big_endian", "deflated"})


def transcode(source: Dataset, name: str, *, sop_instance_uid: str = "", series_instance_uid: str = "") -> FileDataset:
    """Return a copy of a grey image in a lossless transfer syntax of `LOSSLESS`, with new UIDs where given.

    Raises
    ------
    KeyError
        No such name.
    PixelError
        A colour image, or pixel data that cannot be read.
    """
    syntax = LOSSLESS[name]
    frames = decode_frames(source)
    if frames.ndim != 3:
        raise PixelError("a grey image is expected")
    ds = FileDataset(
        "",
        Dataset(),
        preamble=b"\0" * 128,
        file_meta=copy.deepcopy(source.file_meta),
        is_implicit_VR=name == "implicit",
        is_little_endian=name != "big_endian",
    )
    for element in source:
        if element.tag != 0x7FE00010:
            ds[element.tag] = copy.deepcopy(element)
    ds.file_meta.TransferSyntaxUID = syntax
    if sop_instance_uid:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    if series_instance_uid:
        ds.SeriesInstanceUID = UID(series_instance_uid)
    if name in _NATIVE:
        ds.PixelData = (frames.byteswap() if name == "big_endian" else frames).tobytes()
        ds["PixelData"].VR = "OW"
        return ds
    bits = int(source.BitsStored)
    ds.PixelData = encapsulate([_encode(frame, name, bits) for frame in frames])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


def _encode(frame: NDArray[np.generic], name: str, bits: int) -> bytes:
    """Encode one frame, (Y, X). Codecs without signed values get the two's complement in the bits stored."""
    if name == "rle":
        plane = np.ascontiguousarray(frame)
        return bytes(encode_rle(plane.tobytes(), *plane.shape, 1, plane.dtype.itemsize * 8, "<"))
    signed = frame.dtype.kind == "i"
    if name in ("jpeg_2000", "htj2k"):
        if name == "htj2k":
            return bytes(imagecodecs.htj2k_encode(np.ascontiguousarray(frame), reversible=True))
        return bytes(imagecodecs.jpeg2k_encode(np.ascontiguousarray(frame), level=0, codecformat="J2K", reversible=True))
    plain = frame.view(f"u{frame.dtype.itemsize}") & np.array((1 << bits) - 1, f"u{frame.dtype.itemsize}") if signed else frame
    if name == "jpeg_ls":
        return bytes(imagecodecs.jpegls_encode(np.ascontiguousarray(plain), out=2 * plain.nbytes + 1024))
    predictor = 1 if name == "jpeg_lossless_sv1" else 6
    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(plain), lossless=True, predictor=predictor, bitspersample=bits))
