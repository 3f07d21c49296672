"""The head of a Part 10 file (PS3.10 7.1): preamble, prefix and file meta information.

The content hash of a received instance is taken over this head and the data set as it came. The head therefore holds nothing that
changes without the instance: no version name, no title of the sender, no time.
"""

from core.uids import IMPLEMENTATION_CLASS_UID
from imaging.wire.data_elements import LENGTH, encode_element, encode_uid

PREAMBLE_AND_PREFIX = b"\0" * 128 + b"DICM"
DATA_SET_OFFSET_BASE = 144  # end of the element File Meta Information Group Length, which counts from there


def encode_head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and file meta information, Explicit VR Little Endian; the encoded data set follows them."""
    elements = b"".join(
        (
            encode_element(0x00020001, "OB", b"\x00\x01"),
            encode_element(0x00020002, "UI", encode_uid(sop_class_uid)),
            encode_element(0x00020003, "UI", encode_uid(sop_instance_uid)),
            encode_element(0x00020010, "UI", encode_uid(transfer_syntax_uid)),
            encode_element(0x00020012, "UI", encode_uid(IMPLEMENTATION_CLASS_UID)),
        )
    )
    return PREAMBLE_AND_PREFIX + encode_element(0x00020000, "UL", LENGTH.pack(len(elements))) + elements


def data_set_offset(content: bytes) -> int:
    """Where the data set of a Part 10 file starts (PS3.10 7.1).

    Raises
    ------
    ValueError
        The file is not a Part 10 file, or its file meta information does not start with the group length.
    """
    if content[128:132] != b"DICM" or content[132:138] != b"\x02\x00\x00\x00UL":
        raise ValueError("no Part 10 file that starts with the group length (0002,0000)")
    length: int = LENGTH.unpack_from(content, 140)[0]
    return DATA_SET_OFFSET_BASE + length
