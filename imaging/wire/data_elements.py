"""The form of data elements (PS3.5 sections 6.2, 7.1 and 7.5), shared by the readers and writers of this package.

This module does not import pydicom, so that the receive path can write the head of a file without loading it.
`strict_reader` uses none of this on purpose: it checks what is written with these definitions.
"""

import struct

UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SPECIFIC_CHARACTER_SET, SOP_CLASS_UID, PER_FRAME_GROUPS = 0x00080005, 0x00080016, 0x52009230
PIXEL_DATA = 0x7FE00010
PIXEL_DATA_TAGS = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})  # Float, Double Float, and Pixel Data

# Explicit VR: these have a length of 4 bytes behind 2 reserved ones, the others a length of 2 bytes (PS3.5 tables 7.1-1 and 7.1-2).
VRS_WITH_LONG_LENGTH = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
VRS_WITH_SHORT_LENGTH = frozenset({
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US",
})  # fmt: skip
MAX_SHORT_LENGTH = 0xFFFE

EXPLICIT_HEADER = struct.Struct("<HH2sH")  # group, element, VR, length
EXPLICIT_LONG_HEADER = struct.Struct("<HH2sHL")  # group, element, VR, reserved, length
IMPLICIT_HEADER = struct.Struct("<HHL")  # group, element, length; items and delimiters have this form in Explicit VR too
LENGTH = struct.Struct("<L")
UNSIGNED_SHORT = struct.Struct("<H")


def pad_to_even(value: bytes, padding: bytes = b" ") -> bytes:
    """Append ``padding`` to a value of odd length (PS3.5 6.2): a space for text, a null for UIDs and bytes."""
    return value + padding if len(value) % 2 else value


def encode_uid(uid: str) -> bytes:
    """A UID as the value of an element. Characters beyond Latin-1, which no UID has, become "?"."""
    return pad_to_even(uid.encode("latin-1", "replace"), b"\0")


def encode_element(tag: int, vr: str, value: bytes) -> bytes:
    """An element in Explicit VR Little Endian with its encoded value, which has an even length (PS3.5 7.1.2).

    Raises
    ------
    ValueError
        The value is longer than the length field of its VR can state.
    """
    if vr in VRS_WITH_LONG_LENGTH:
        return EXPLICIT_LONG_HEADER.pack(tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value)) + value
    if len(value) > MAX_SHORT_LENGTH:
        raise ValueError(f"a value of VR {vr} has {len(value)} bytes, more than the {MAX_SHORT_LENGTH} allowed")
    return EXPLICIT_HEADER.pack(tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def encode_item(content: bytes) -> bytes:
    """An item of a sequence, of defined length, with the encoded elements in it (PS3.5 7.5)."""
    return IMPLICIT_HEADER.pack(ITEM >> 16, ITEM & 0xFFFF, len(content)) + content
