"""Comparison of two files that hold the same instance in different transfer syntaxes, by attributes and decoded pixels.

Not called on the receive path, because both files are decoded.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag

from core.errors import PixelError
from imaging.pixels.decode import decode_frames
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import read_dataset, translate_parse_errors

# Attributes that change with the transfer syntax: the pixel data and their layout.
_LAYOUT = frozenset(
    {
        0x00280004,  # Photometric Interpretation, compared by `_same_colour`
        0x00280006,  # Planar Configuration
        0x7FE00001,  # Extended Offset Table
        0x7FE00002,  # Extended Offset Table Lengths
        0x7FE00010,  # Pixel Data
        0xFFFCFFFC,  # Data Set Trailing Padding
    }
)
# Decoded to the same samples: J2K's reversible transform gives RGB; 4:2:2 is expanded.
_SAME_COLOURS = (frozenset({"RGB", "YBR_RCT"}), frozenset({"YBR_FULL", "YBR_FULL_422"}))
_DERIVATION = frozenset({0x00082111, 0x00089215})  # Derivation Description, Derivation Code Sequence
_FULL_FIDELITY = ("DCM", "121327")  # "Full fidelity image, uncompressed or lossless compressed" (CID 7203)
_WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def same_content(a: Path, b: Path) -> bool:
    """Whether two files hold the same content.

    Parameters
    ----------
    a, b
        DICOM files.

    Returns
    -------
    bool
        True if every attribute is equal, except those that the transfer syntax itself changes (the pixel data's encoding, planar
        configuration, a photometric interpretation that decodes to the same samples), and the decoded pixels are equal. Lossy
        compression and its markers are a difference.

    Raises
    ------
    CannotUnderstand
        One of the files is not a DICOM data set.
    """
    first, second = read_dataset(a, pixels=True), read_dataset(b, pixels=True)
    notes: list[str] = []
    with translate_parse_errors("a data set that cannot be compared"), warnings_as_notes(notes):
        return _same_attributes(first, second, outermost=True) and _same_colour(first, second) and _same_pixels(first, second)


def _compared_tags(ds: Dataset, outermost: bool) -> list[BaseTag]:
    ignored = (_LAYOUT | _DERIVATION if _only_recompressed(ds) else _LAYOUT) if outermost else frozenset()
    return [tag for tag in sorted(ds.keys()) if tag.element != 0 and int(tag) not in ignored]


def _only_recompressed(ds: Dataset) -> bool:
    """Whether the only derivation stated is lossless compression, as DCMTK and Orthanc write it."""
    items = ds.get("DerivationCodeSequence") or []
    codes = {(str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeValue", ""))) for item in items}
    description = str(ds.get("DerivationDescription", "") or "").strip()
    return codes <= {_FULL_FIDELITY} and (not description or description.startswith("Lossless JPEG compression"))


def _same_attributes(a: Dataset, b: Dataset, *, outermost: bool = False) -> bool:
    tags = _compared_tags(a, outermost)
    return tags == _compared_tags(b, outermost) and all(_same_element(a[tag], b[tag], a, b) for tag in tags)


def _same_element(one: DataElement, other: DataElement, a: Dataset, b: Dataset) -> bool:
    if one.VR == other.VR == "SQ":
        items, others = list(one.value or []), list(other.value or [])
        return len(items) == len(others) and all(_same_attributes(x, y) for x, y in zip(items, others, strict=True))
    if one.VR == other.VR:
        left, right = _normalised_value(one, a), _normalised_value(other, b)
        return bool(left == right) or repr(left) == repr(right)  # repr: NaN is equal to itself here
    return _encoded(one) == _encoded(other)  # one VR is unknown: Implicit VR does not state that of private elements


def _normalised_value(element: DataElement, ds: Dataset) -> object:
    """The value, with words in little endian and text without padding."""
    value = element.value
    size = _WORD_BYTES.get(element.VR)
    if isinstance(value, bytes) and size and ds.original_encoding[1] is False and len(value) % size == 0:
        return np.frombuffer(value, f">u{size}").astype(f"<u{size}").tobytes()
    if isinstance(value, str):
        return value.rstrip(" \0")
    if isinstance(value, Iterable) and not isinstance(value, (bytes, str)):
        return [part.rstrip(" \0") if isinstance(part, str) else part for part in value]
    return "" if value is None else value


def _encoded(element: DataElement) -> bytes:
    """The value field in Implicit VR Little Endian, without its padding."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    write_data_element(buffer, element)
    return buffer.getvalue()[8:].rstrip(b" \0")


def _same_colour(a: Dataset, b: Dataset) -> bool:
    one, other = (str(ds.get("PhotometricInterpretation", "") or "") for ds in (a, b))
    return one == other or any({one, other} <= group for group in _SAME_COLOURS)


def _same_pixels(a: Dataset, b: Dataset) -> bool:
    one, other = a.get("PixelData"), b.get("PixelData")
    if not one or not other:
        return bool(one) == bool(other)
    try:
        return bool(np.array_equal(decode_frames(a), decode_frames(b)))
    except PixelError:
        return bool(one == other and a.file_meta.get("TransferSyntaxUID") == b.file_meta.get("TransferSyntaxUID"))
