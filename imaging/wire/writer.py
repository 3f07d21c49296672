"""A data set as bytes, Explicit VR Little Endian, lengths given (PS3.5 7).

The same bytes as pydicom's writer, which looks through the whole of a nested data set again at each of its levels and so takes
most of the time of a report. Values that are not plain text are left to its own functions.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, writers
from pydicom.tag import BaseTag
from pydicom.valuerep import AMBIGUOUS_VR, EXPLICIT_VR_LENGTH_32

# Text that the character set applies to (PS3.5 6.1.2.2), and text that is always ASCII.
CHARACTERS = frozenset({"SH", "LO", "ST", "LT", "UC", "UT"})
ASCII = frozenset({"AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"})
REFERENCES = BaseTag(0x00081199)  # Referenced SOP Sequence
_ITEM = b"\xfe\xff\x00\xe0"
_SHORTEST, _LONGEST = struct.Struct("<HH2sH"), struct.Struct("<HH2sHL")

Encode = Callable[[str], bytes]


def written(dataset: Dataset, encode: Encode) -> bytes:
    """The elements of a data set, sequences included, in the order of their tags.

    Parameters
    ----------
    encode
        Text into the bytes of the data set's character set.

    Raises
    ------
    UnicodeError
        A text that ``encode`` does not take.
    ValueError
        A value that is longer than its VR can say.
    """
    parts: list[bytes] = []
    for tag, given in sorted(dataset.items(), key=_number):
        one: Any = given
        if one.VR in AMBIGUOUS_VR:
            one = correct_ambiguous_vr(dataset, True)[tag]
        vr = str(one.VR)
        parts.append(element(tag, vr, one.value if one.is_raw else _value(one, vr, encode)))
    return b"".join(parts)


def element(tag: int, vr: str, raw: bytes) -> bytes:
    """An element with its content (PS3.5 7.1.2). Raises ValueError for a content that is longer than the VR can say."""
    group, number, name = tag >> 16, tag & 0xFFFF, vr.encode()
    if vr in EXPLICIT_VR_LENGTH_32:
        return _LONGEST.pack(group, number, name, 0, len(raw)) + raw
    if len(raw) > 0xFFFF:
        raise ValueError(f"a value of VR {vr} has {len(raw)} bytes, and 65534 is the most")
    return _SHORTEST.pack(group, number, name, len(raw)) + raw


def _number(entry: tuple[Any, Any]) -> int:
    return int(entry[0])


def _value(element: Any, vr: str, encode: Encode) -> bytes:
    value = element.value
    if vr == "SQ":
        return b"".join(item(written(one, encode)) for one in value)
    if isinstance(value, str):
        if vr in CHARACTERS:
            return padded(encode(value))
        if vr in ASCII:
            return padded(value.encode("latin-1"), b"\0" if vr == "UI" else b" ")
    if value is None or element.is_empty:
        return b""
    if vr in CHARACTERS:
        return padded(b"\\".join(encode(part) for part in value))
    if vr == "PN":
        return padded(b"\\".join(encode(str(name).rstrip("=")) for name in (value if element.VM > 1 else [value])))
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write, parameter = writers[element.VR]
    write(buffer, element, *(() if parameter is None else (parameter,)))  # type: ignore[operator]
    return buffer.getvalue()


def item(content: bytes) -> bytes:
    """An item of a sequence (PS3.5 7.5)."""
    return _ITEM + struct.pack("<L", len(content)) + content


def padded(raw: bytes, pad: bytes = b" ") -> bytes:
    """Of even length (PS3.5 6.2)."""
    return raw + pad if len(raw) % 2 else raw


def references(instances: Mapping[str, str]) -> RawDataElement:
    """Referenced SOP Sequence (PS3.3 10.8) as it is written. ``instances``: SOP class by SOP instance."""
    parts = []
    for sop_instance_uid, sop_class_uid in instances.items():
        named = ((0x1150, sop_class_uid), (0x1155, sop_instance_uid))
        uids = [(number, padded(uid.encode("latin-1"), b"\0")) for number, uid in named]
        parts.append(item(b"".join(_SHORTEST.pack(0x0008, number, b"UI", len(raw)) + raw for number, raw in uids)))
    content = b"".join(parts)
    return RawDataElement(REFERENCES, "SQ", len(content), content, 0, False, True)
