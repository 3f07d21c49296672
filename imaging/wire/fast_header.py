"""The header of a plain, well-formed instance in a tenth of the time: what nearly every slice is.

Nothing is tolerated here. At the first thing that is not as PS3.5 says, or that the tolerant reader treats in a way of its own,
the answer is None and that reader takes over, so that both never differ (tests/imaging/wire/test_fast_header.py holds them to it).
"""

import math
import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from core.codes import PRIVATE_SCHEME
from core.policy.own_objects import bears_our_mark
from core.records import InstanceHeader

EXPLICIT, IMPLICIT = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2"
SYNTAXES = re.compile(rb"1\.2\.840\.10008\.1\.2(\.1|\.5|\.4\.[1-9][0-9]*)?")  # not big endian, not deflated
_UNDEFINED = 0xFFFFFFFF
MAX_VALUE_BYTES = 1024
KNOWN_VALUES = 1024  # of each kind: the slices of a series say the same over and over
_DEEPEST = 8
_EXPLICIT_HEAD, _IMPLICIT_HEAD = struct.Struct("<HH2sH").unpack_from, struct.Struct("<HHL").unpack_from
_LENGTH = struct.Struct("<L").unpack_from
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
META = {0x00020003: b"UI", 0x00020010: b"UI"}
# Where one of these is, there is more to look at than plain values.
_NOT_PLAIN = frozenset({0x0018A001, 0x00080110, 0x52009229, 0x52009230})
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

_PRINTABLE = re.compile(rb"(?:[!-\[\]-~](?:[ -\[\]-~]*[!-\[\]-~])?)?")  # one value without a backslash, no space at its ends
_MANY = re.compile(rb"[!-~](?:[ -~]*[!-~])?|")
_FORM: dict[bytes, tuple[re.Pattern[bytes], int]] = {
    b"UI": (re.compile(rb"(?:(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*)?"), 64),
    b"CS": (re.compile(rb"(?:[A-Z0-9_](?:[A-Z0-9_ ]*[A-Z0-9_])?)?"), 16),
    b"SH": (_PRINTABLE, 16),
    b"LO": (_PRINTABLE, 64),
    b"PN": (re.compile(rb"(?:[!-<>-\[\]-~](?:[ -<>-\[\]-~]*[!-<>-\[\]-~])?)?"), 64),
    b"DA": (re.compile(rb"(?:[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))?"), 8),
    b"TM": (re.compile(rb"(?:(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9](?:\.[0-9]{1,6})?)?"), 14),
    b"DS": (re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"), 16),
    b"IS": (re.compile(rb"[+-]?[0-9]{1,9}"), 12),
}


class Odd(Exception):
    """Not for us."""


@lru_cache(KNOWN_VALUES)
def text(vr: bytes, raw: bytes) -> str:
    """One value of a text VR; padded at its end as its VR says, and nowhere else."""
    form, most = _FORM[vr]
    value = raw.rstrip(b"\0") if vr == b"UI" else raw.rstrip(b" ")
    if len(value) > most or not form.fullmatch(value):
        raise Odd
    return value.decode("ascii")


def texts(vr: bytes, raw: bytes) -> tuple[str, ...]:
    if not raw.strip(b" "):
        return ()
    return tuple(text(vr, part) for part in _parts(raw))


def _parts(raw: bytes) -> list[bytes]:
    parts = raw.rstrip(b" ").split(b"\\")
    if any(part != part.strip(b" ") for part in parts):
        raise Odd
    return parts


def _kernel(vr: bytes, raw: bytes) -> str:
    return "\\".join(text(vr, part) for part in _parts(raw)) if raw else ""


def numbers(count: int) -> Callable[[bytes, bytes], tuple[float, ...] | None]:
    @lru_cache(KNOWN_VALUES)
    def read(vr: bytes, raw: bytes) -> tuple[float, ...] | None:
        if not raw:
            return None
        form, most = _FORM[vr]
        parts = raw.split(b"\\")
        values = [part.strip(b" ") for part in parts]
        if len(values) != count or any(len(part) > most for part in parts) or not all(form.fullmatch(value) for value in values):
            raise Odd
        found = tuple(float(value) for value in values)
        if not all(math.isfinite(one) for one in found):
            raise Odd
        return found

    return read


def number(vr: bytes, raw: bytes) -> float | None:
    found = numbers(1)(vr, raw)
    return None if found is None else found[0]


def integer(low: int) -> Callable[[bytes, bytes], int | None]:
    def read(vr: bytes, raw: bytes) -> int | None:
        if vr == b"US":
            if len(raw) != 2:
                raise Odd
            value: int | None = int(struct.unpack("<H", raw)[0])
        else:
            found = number(vr, raw)
            value = None if found is None else int(found)
        if value is not None and value < low:
            raise Odd
        return value

    return read


_ANY = -(2**31)
_WANTED: dict[int, tuple[bytes, str, Callable[[bytes, bytes], Any]]] = {
    0x00080005: (b"CS", "character_set", texts),
    0x00080008: (b"CS", "image_type", texts),
    0x00080016: (b"UI", "sop_class_uid", text),
    0x00080018: (b"UI", "sop_instance_uid", text),
    0x00080020: (b"DA", "study_date", text),
    0x00080030: (b"TM", "study_time", text),
    0x00080050: (b"SH", "accession_number", text),
    0x00080060: (b"CS", "modality", text),
    0x00080070: (b"LO", "manufacturer", text),
    0x00080201: (b"SH", "timezone_offset", text),
    0x00081030: (b"LO", "study_description", text),
    0x0008103E: (b"LO", "series_description", text),
    0x00100010: (b"PN", "patient_name", text),
    0x00100020: (b"LO", "patient_id", text),
    0x00100021: (b"LO", "issuer_of_patient_id", text),
    0x00100030: (b"DA", "patient_birth_date", text),
    0x00100040: (b"CS", "patient_sex", text),
    0x00180015: (b"CS", "body_part_examined", text),
    0x00180050: (b"DS", "slice_thickness_mm", number),
    0x00181210: (b"SH", "convolution_kernel", _kernel),
    0x0020000D: (b"UI", "study_instance_uid", text),
    0x0020000E: (b"UI", "series_instance_uid", text),
    0x00200010: (b"SH", "study_id", text),
    0x00200011: (b"IS", "series_number", integer(_ANY)),
    0x00200013: (b"IS", "instance_number", integer(_ANY)),
    0x00200032: (b"DS", "position", numbers(3)),
    0x00200037: (b"DS", "orientation", numbers(6)),
    0x00200052: (b"UI", "frame_of_reference_uid", text),
    0x00201209: (b"IS", "series_related_instances", integer(0)),
    0x00280008: (b"IS", "number_of_frames", integer(1)),
    0x00280010: (b"US", "rows", integer(1)),
    0x00280011: (b"US", "columns", integer(1)),
    0x00280030: (b"DS", "pixel_spacing_mm", numbers(2)),
}
_WANTED_VRS = {tag: vr for tag, (vr, _, _) in _WANTED.items()}
_CHARACTER_SET = 0x00080005
CHARACTER_SETS = frozenset({(), ("ISO_IR 100",), ("ISO_IR 192",)})  # text is ASCII here, which each of them holds
_REQUIRED = ("sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid")


def quick_header(content: bytes, size_bytes: int = 0) -> InstanceHeader | None:
    """As `headers.read_header` of a Part 10 file with group length; None where that one is to be asked.

    Parameters
    ----------
    content, size_bytes
        The file, or its beginning where ``size_bytes`` says that it is longer.
    """
    try:
        return _header(content, max(size_bytes, len(content)))
    except (Odd, struct.error, IndexError):
        return None


def data_set_of(content: bytes) -> tuple[int, bytes, bytes]:
    """Where the data set of a Part 10 file begins, its transfer syntax UID, and the SOP Instance UID of the file meta information.

    Raises
    ------
    Odd
        The file meta information is not plain, or the transfer syntax none of those read here.
    """
    if content[128:132] != b"DICM" or content[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise Odd
    start = 144 + int.from_bytes(content[140:144], "little")
    meta: dict[int, bytes] = {}
    if walk(content, 144, start, explicit=True, keep=META, found=meta) != start or len(meta) != len(META):
        raise Odd
    syntax = meta[0x00020010].rstrip(b"\0")
    if not SYNTAXES.fullmatch(syntax):
        raise Odd
    return start, syntax, meta[0x00020003].rstrip(b"\0")


def values_of(content: bytes, size_bytes: int, wanted: dict[int, bytes]) -> tuple[dict[int, bytes], bytes, bytes]:
    """Raw values of elements before the pixel data, by tag; the transfer syntax UID; the SOP Instance UID of the file meta information.

    Parameters
    ----------
    content, size_bytes
        As of `quick_header`.
    wanted
        Tag -> VR.

    Raises
    ------
    Odd, struct.error, IndexError
        The tolerant reader is to be asked.
    """
    start, syntax, uid = data_set_of(content)
    if syntax == IMPLICIT and content[start + 4 : start + 6].isupper():
        raise Odd  # a length that looks like a VR: that reader may take it for one
    raw: dict[int, bytes] = {}
    keep = {_CHARACTER_SET: b"CS", **wanted}
    stopped_at = walk(content, start, len(content), explicit=syntax != IMPLICIT, keep=keep, found=raw, size_bytes=size_bytes)
    if stopped_at == len(content) < size_bytes:
        raise Odd  # not at the pixel data: there is more
    if any(len(value) > MAX_VALUE_BYTES for value in raw.values()):
        raise Odd  # what is read is remembered
    if texts(b"CS", raw.get(_CHARACTER_SET, b"")) not in CHARACTER_SETS:
        raise Odd
    return raw, syntax, uid


def _header(content: bytes, size_bytes: int) -> InstanceHeader:
    raw, syntax, uid = values_of(content, size_bytes, _WANTED_VRS)
    values = {name: read(vr, raw[tag]) for tag, (vr, name, read) in _WANTED.items() if tag in raw}
    if not all(values.get(name) for name in _REQUIRED):
        raise Odd
    if uid.decode("ascii", "replace") != values["sop_instance_uid"]:
        raise Odd
    ours = bears_our_mark([values.pop("manufacturer", "")], [], PRIVATE_SCHEME)
    values["number_of_frames"] = values.get("number_of_frames") or 1
    return InstanceHeader(**values, transfer_syntax_uid=syntax.decode(), made_by_dicom_node=ours)


def walk(
    content: bytes, at: int, end: int, *, explicit: bool, keep: Any, found: dict[int, bytes] | None, depth: int = 0, size_bytes: int = 0
) -> int:
    """Over the elements of a data set, in their order; gives where it ends. ``found`` None: the items of a sequence.

    Pixel data may reach until ``size_bytes``, where ``content`` is but the beginning.

    Raises
    ------
    Odd
    """
    before = 0
    while at < end:
        if explicit:
            group, element, vr, length = _EXPLICIT_HEAD(content, at)
            tag = group << 16 | element
            at += 8
            if vr not in _SHORT and tag != _ITEM_END:
                if vr not in _LONG:
                    raise Odd
                (length,) = _LENGTH(content, at)
                at += 4
        else:
            group, element, length = _IMPLICIT_HEAD(content, at)
            vr, tag, at = b"", group << 16 | element, at + 8
        if tag == _ITEM_END and found is None:
            return at - 8
        if tag <= before or group == 0xFFFE or (group != 2 if keep is META else group < 8):
            raise Odd
        before = tag
        if tag in _PIXELS and found is not None:
            if length != _UNDEFINED and at + length > max(size_bytes, len(content)):
                raise Odd
            return at
        if tag in _NOT_PLAIN and found is not None:
            raise Odd
        if length == _UNDEFINED:
            if explicit and vr != b"SQ":
                raise Odd
            at = _over_items(content, at, end, explicit, depth + 1)
            continue
        if found is not None and tag in keep:
            if explicit and vr != keep[tag]:
                raise Odd
            found[tag] = content[at : at + length]
        at += length
    if at != end:
        raise Odd
    return at


def _over_items(content: bytes, at: int, end: int, explicit: bool, depth: int) -> int:
    """Over the items of a sequence of undefined length; gives where it ends (PS3.5 7.5)."""
    if depth > _DEEPEST:
        raise Odd
    while True:
        group, element, length = _IMPLICIT_HEAD(content, at)
        tag, at = group << 16 | element, at + 8
        if at > end:
            raise Odd
        if tag == _SEQUENCE_END and length == 0:
            return at
        if tag != _ITEM:
            raise Odd
        until = end if length == _UNDEFINED else at + length
        if until > end:
            raise Odd
        at = walk(content, at, until, explicit=explicit, keep=(), found=None, depth=depth)
        if length == _UNDEFINED:
            if content[at : at + 8] != b"\xfe\xff\x0d\xe0\0\0\0\0":
                raise Odd
            at += 8
