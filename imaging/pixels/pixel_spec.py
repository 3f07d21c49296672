"""The image pixel module of a header (PS3.3 C.7.6.3), checked before anything is allocated."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from core.counted import counted
from core.errors import PixelError
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_values import TolerantReader
from imaging.wire.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

MAX_DECODED_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class PixelSpec:
    """Description of pixel data, checked by `pixel_spec`.

    ``words``: the VR is OW, which matters for 8-bit values in big endian (PS3.5 8.2).
    """

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
    words: bool = False
    extended_offsets: tuple[bytes, bytes] | None = None

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Signed or unsigned integer of Bits Allocated; of one bit uint8."""
        size = max(8, self.bits_allocated)
        return np.dtype(f"{'i' if self.signed else 'u'}{size // 8}")

    @property
    def stored_range(self) -> tuple[int, int]:
        """The lowest and the highest value that Bits Stored can hold."""
        return (-(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1) if self.signed else (0, (1 << self.bits_stored) - 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame: (Y, X), or (Y, X, samples) of a colour image."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def decoded_bytes(self) -> int:
        """Memory that all decoded frames take."""
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
        An attribute is missing or impossible, or the decoded frames would take more than ``max_bytes``.
    """
    notes: list[str] = []
    with warnings_as_notes(notes):
        read = TolerantReader(ds, notes)
        syntax = _read_transfer_syntax(ds)
        rows, columns = read.integer("Rows", low=1), read.integer("Columns", low=1)
        allocated = read.integer("BitsAllocated", low=1, high=64)
        if rows is None or columns is None or allocated is None:
            raise PixelError("Rows, Columns or Bits Allocated is missing or not a positive number", hint="the file is not an image")
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
    _check_spec(spec, max_bytes)
    return spec


def _pixel_vr(ds: Dataset) -> str:
    with _translate_errors("PixelData"):
        raw = ds.get_item("PixelData") if "PixelData" in ds else None
    return "" if raw is None else str(raw.VR or "OW")


def _read_transfer_syntax(ds: Dataset) -> str:
    meta = getattr(ds, "file_meta", None)
    named = str(meta.get("TransferSyntaxUID", "") or "") if meta is not None else ""
    if named:
        return named
    implicit, little = ds.original_encoding
    return IMPLICIT_VR_LITTLE_ENDIAN if implicit else EXPLICIT_VR_LITTLE_ENDIAN if little in (True, None) else EXPLICIT_VR_BIG_ENDIAN


def _check_spec(spec: PixelSpec, max_bytes: int) -> None:
    if spec.samples not in (1, 3):
        raise PixelError(f"1 or 3 samples per pixel expected, {spec.samples} came")
    if spec.bits_allocated not in (1, 8, 16, 32, 64):
        raise PixelError(f"1, 8, 16, 32 or 64 bits allocated expected, {spec.bits_allocated} came")
    if spec.high_bit is None or spec.high_bit + 1 < spec.bits_stored:
        raise PixelError("High Bit is smaller than Bits Stored allows")
    if spec.decoded_bytes > max_bytes:
        raise PixelError(
            f"{counted(spec.frames, 'frame')} of {spec.rows} x {spec.columns} x {spec.samples} would take {spec.decoded_bytes} bytes, "
            f"more than the {max_bytes} allowed"
        )


def pixel_data(ds: Dataset, keyword: str = "PixelData") -> bytes:
    """The value of a pixel data element. Raises `PixelError` if there is none."""
    with _translate_errors(keyword):
        data = ds.get(keyword)
    if not isinstance(data, bytes) or not data:
        raise PixelError("the instance holds no pixel data", hint="send the image, not only its header")
    return data


@contextmanager
def _translate_errors(keyword: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # pydicom fails on broken elements with exceptions of many types
        raise PixelError(f"{keyword} cannot be read: {type(error).__name__}") from error
