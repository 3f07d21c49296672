"""The head of a Part 10 file (PS3.10 7.1), the same for the same instance in every version of this software.

The content hash of a received instance is taken over this head and the data set as it came. So nothing goes into it
that changes without the instance: no version name, no title of the sender, no time.
"""

import struct

from core.uids import IMPLEMENTATION_CLASS_UID


def _element(tag: tuple[int, int], vr: bytes, value: bytes) -> bytes:
    if vr == b"OB":
        return struct.pack("<HH2sHL", *tag, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", *tag, vr, len(value)) + value


def _uid(value: str) -> bytes:
    raw = value.encode("ascii", "replace")
    return raw + b"\0" if len(raw) % 2 else raw


def head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and file meta information, Explicit VR Little Endian; the encoded data set follows it."""
    elements = b"".join(
        (
            _element((0x0002, 0x0001), b"OB", b"\x00\x01"),
            _element((0x0002, 0x0002), b"UI", _uid(sop_class_uid)),
            _element((0x0002, 0x0003), b"UI", _uid(sop_instance_uid)),
            _element((0x0002, 0x0010), b"UI", _uid(transfer_syntax_uid)),
            _element((0x0002, 0x0012), b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
        )
    )
    return b"\0" * 128 + b"DICM" + _element((0x0002, 0x0000), b"UL", struct.pack("<L", len(elements))) + elements


def data_set_offset(content: bytes) -> int:
    """Where the data set starts in a Part 10 file of this node or another that writes the group length (PS3.10 7.1)."""
    if content[128:132] != b"DICM" or content[132:138] != b"\x02\x00\x00\x00UL":
        raise ValueError("no Part 10 file that starts with the group length (0002,0000)")
    length: int = struct.unpack_from("<L", content, 140)[0]
    return 144 + length
