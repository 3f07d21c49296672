"""The slice of a plain, well-formed CT image in a tenth of the time, by the walk of `imaging.wire.fast_header`: what nearly every slice is.

At the first thing that is not plain the answer is None and the tolerant reader takes over, so that both never differ
(tests/imaging/volume/test_fast_slice.py holds them to it).
"""

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from core.policy.own_objects import is_secondary_capture
from imaging.pixels.pixel_spec import PixelSpec
from imaging.wire.fast_header import CHARACTER_SETS, IMPLICIT, Odd, data_set_of, integer, number, numbers, text, texts, walk
from imaging.wire.tolerant_parser import PixelPlace

_ENDLESS = 0xFFFFFFFF
_PIXEL_DATA = struct.pack("<HH", 0x7FE0, 0x0010)
_HOUNSFIELD = frozenset({"", "HU", "HU_MOD", "US"})


@dataclass(frozen=True, slots=True)
class Plain:
    """What the header says: ``values`` by the names of `frames.Slice`, the pixels' description and place."""

    values: dict[str, Any]
    spec: PixelSpec
    place: PixelPlace


def _never(_vr: bytes, _raw: bytes) -> None:
    raise Odd


_WANTED: dict[int, tuple[bytes, str, Callable[[bytes, bytes], Any]]] = {
    0x00080005: (b"CS", "character_set", texts),
    0x00080008: (b"CS", "image_type", texts),
    0x00080016: (b"UI", "sop_class_uid", text),
    0x00080018: (b"UI", "sop_instance_uid", text),
    0x00080050: (b"SH", "accession_number", text),
    0x00080060: (b"CS", "modality", text),
    0x00100020: (b"LO", "patient_id", text),
    0x00100021: (b"LO", "issuer_of_patient_id", text),
    0x0020000D: (b"UI", "study_instance_uid", text),
    0x0020000E: (b"UI", "series_instance_uid", text),
    0x00200032: (b"DS", "position", numbers(3)),
    0x00200037: (b"DS", "orientation", numbers(6)),
    0x00200052: (b"UI", "frame_of_reference_uid", text),
    0x00280002: (b"US", "samples", integer(1)),
    0x00280004: (b"CS", "photometric", text),
    0x00280008: (b"IS", "frames", _never),
    0x00280010: (b"US", "rows", integer(1)),
    0x00280011: (b"US", "columns", integer(1)),
    0x00280030: (b"DS", "pixel_spacing_mm", numbers(2)),
    0x00280100: (b"US", "bits_allocated", integer(1)),
    0x00280101: (b"US", "bits_stored", integer(1)),
    0x00280102: (b"US", "high_bit", integer(0)),
    0x00280103: (b"US", "signed", integer(0)),
    0x00281052: (b"DS", "intercept", number),
    0x00281053: (b"DS", "slope", number),
    0x00281054: (b"LO", "unit", text),
    0x00282110: (b"CS", "lossy", text),
    0x7FE00001: (b"OV", "offsets", _never),
    0x7FE00002: (b"OV", "lengths", _never),
}
_VRS = {tag: vr for tag, (vr, _, _) in _WANTED.items()}
_NEEDED = ("sop_class_uid", "sop_instance_uid", "orientation", "position", "pixel_spacing_mm", "slope", "intercept")
_MAY_LACK = (
    "accession_number", "patient_id", "issuer_of_patient_id", "study_instance_uid", "series_instance_uid", "frame_of_reference_uid",
)  # fmt: skip


def quick_slice(path: Path) -> Plain | None:
    """The one slice of a CT file; None where the tolerant reader is to be asked. Touches only the pages of the header."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _plain(cast(bytes, content))
    except (Odd, struct.error, IndexError, ValueError):  # ValueError: an empty file cannot be mapped
        return None


def _plain(content: bytes) -> Plain:
    start, syntax, _ = data_set_of(content)
    raw: dict[int, bytes] = {}
    explicit = syntax != IMPLICIT
    at = walk(content, start, len(content), explicit=explicit, keep=_VRS, found=raw)
    vr = _vr(content, at, explicit)
    length = int.from_bytes(content[at - 4 : at], "little")
    values = {name: read(vr, raw[tag]) for tag, (vr, name, read) in _WANTED.items() if tag in raw}
    spec = _spec(values, syntax.decode(), vr)
    return Plain(_checked(values), spec, PixelPlace(0x7FE00010, vr, at, None if length == _ENDLESS else length))


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Of an acquired CT image with its place and its way to Hounsfield units; anything else is not plain."""
    image_type = values.setdefault("image_type", ())
    if any(values.get(name) in (None, "") for name in _NEEDED) or values.pop("character_set", ()) not in CHARACTER_SETS:
        raise Odd
    if values.pop("modality", "") != "CT" or values["slope"] == 0 or values.pop("unit", "") not in _HOUNSFIELD:
        raise Odd
    if "LOCALIZER" in image_type or is_secondary_capture(values.pop("sop_class_uid")):
        raise Odd
    values["lossy"] = values.get("lossy") == "01"
    for name in _MAY_LACK:
        values.setdefault(name, "")
    return values


def _vr(content: bytes, at: int, explicit: bool) -> str:
    """Of the pixel data whose value starts at ``at``; OW in Implicit VR (PS3.5 A.1)."""
    head = content[at - 12 : at - 6] if explicit else content[at - 8 : at - 4] + b"OW"
    if head[:4] != _PIXEL_DATA or head[4:] not in (b"OW", b"OB"):
        raise Odd
    return head[4:].decode()


def _spec(values: dict[str, Any], syntax: str, vr: str) -> PixelSpec:
    """Of one grey frame of 8 or 16 bits; anything else is not plain."""
    allocated, rows, columns = values.pop("bits_allocated", 0), values.get("rows"), values.get("columns")
    stored = values.pop("bits_stored", allocated)
    high_bit, sign = values.pop("high_bit", stored - 1), values.pop("signed", 0)
    photometric = values.pop("photometric", "") or "MONOCHROME2"
    if values.pop("samples", 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2") or not rows or not columns:
        raise Odd
    if allocated not in (8, 16) or not 1 <= stored <= allocated or high_bit != stored - 1 or sign not in (0, 1):
        raise Odd
    return PixelSpec(
        transfer_syntax_uid=syntax,
        rows=rows,
        columns=columns,
        samples=1,
        frames=1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=sign == 1,
        photometric=photometric,
        planar=0,
        words=vr == "OW",
    )
