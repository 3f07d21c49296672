"""The command set of a C-STORE, read and answered without a data set object in between (PS3.7 9.3.1, 6.3.1).

Command sets are Implicit VR Little Endian whatever the presentation context says.
"""

import re
import struct
from dataclasses import dataclass

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
NO_DATA_SET = 0x0101
MAX_COMMENT = 64  # (0000,0902) Error Comment is LO
_COMMAND_FIELD, _MESSAGE_ID, _PRIORITY, _DATA_SET_TYPE = 0x0100, 0x0110, 0x0700, 0x0800
_SOP_CLASS, _SOP_INSTANCE = 0x0002, 0x1000
_UID = re.compile(r"(?=.{1,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
_NOT_PLAIN = re.compile("[^ -~]")
_HEAD = struct.Struct("<HHL")
_NUMBER = struct.Struct("<H")


@dataclass(frozen=True, slots=True)
class StoreCommand:
    """What a C-STORE-RQ says: UIDs as text as they came, without padding, whatever they are."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    complete: bool  # every element is there that PS3.7 9.1.1.1 requires

    @property
    def malformed(self) -> bool:
        """Whether a UID is not formed as PS3.5 9.1 says. Some are taken all the same; see `dicom_node.receive.intake`."""
        return not (_UID.fullmatch(self.sop_class_uid) and _UID.fullmatch(self.sop_instance_uid))


def elements_of(command_set: bytes) -> dict[int, bytes]:
    """Element number -> value, of group 0000.

    Raises
    ------
    ValueError
        It is no command set.
    """
    found: dict[int, bytes] = {}
    at, end = 0, len(command_set)
    while at < end:
        if at + _HEAD.size > end:
            raise ValueError("a command set that ends within an element")
        group, number, length = _HEAD.unpack_from(command_set, at)
        at += _HEAD.size
        if group or at + length > end:
            raise ValueError("a command set with an element of another group" if group else "a command set that ends within a value")
        found[number] = command_set[at : at + length]
        at += length
    return found


def store_command(elements: dict[int, bytes]) -> StoreCommand | None:
    """The C-STORE-RQ of these elements; None where it is another message.

    Raises
    ------
    ValueError
        A C-STORE-RQ without Message ID: there is no way to answer it.
    """
    if _number(elements, _COMMAND_FIELD) != C_STORE_RQ:
        return None
    message_id = _number(elements, _MESSAGE_ID)
    if message_id is None:
        raise ValueError("a C-STORE without Message ID")
    sop_class, sop_instance = (elements.get(tag, b"").decode("ascii", "replace").rstrip("\0 ") for tag in (_SOP_CLASS, _SOP_INSTANCE))
    with_data_set = _number(elements, _DATA_SET_TYPE) not in (None, NO_DATA_SET)
    complete = bool(sop_class and sop_instance and with_data_set) and _number(elements, _PRIORITY) in (0, 1, 2)
    return StoreCommand(message_id, sop_class, sop_instance, complete)


def has_data_set(elements: dict[int, bytes]) -> bool:
    """Whether a data set follows the command (PS3.7 E.1: anything but 0101H)."""
    return _number(elements, _DATA_SET_TYPE) != NO_DATA_SET


def store_response(command: StoreCommand, status: int, comment: str = "") -> bytes:
    """The encoded C-STORE-RSP. ``comment`` without patient data, cut to what LO takes; of malformed UIDs none is sent back (optional)."""
    plain = _NOT_PLAIN.sub("?", comment.replace("\\", "/"))[:MAX_COMMENT].rstrip().encode()
    known = not command.malformed
    parts = [
        _element(_SOP_CLASS, command.sop_class_uid.encode(), b"\0") if known else b"",
        _element(_COMMAND_FIELD, _NUMBER.pack(C_STORE_RSP)),
        _element(0x0120, _NUMBER.pack(command.message_id)),
        _element(_DATA_SET_TYPE, _NUMBER.pack(NO_DATA_SET)),
        _element(0x0900, _NUMBER.pack(status)),
        _element(0x0902, plain, b" ") if plain else b"",
        _element(_SOP_INSTANCE, command.sop_instance_uid.encode(), b"\0") if known else b"",
    ]
    body = b"".join(parts)
    return _element(0x0000, struct.pack("<L", len(body))) + body


def _element(number: int, value: bytes, padding: bytes = b"\0") -> bytes:
    value += padding * (len(value) % 2)
    return _HEAD.pack(0, number, len(value)) + value


def _number(elements: dict[int, bytes], number: int) -> int | None:
    value = elements.get(number, b"")
    return int(_NUMBER.unpack(value)[0]) if len(value) == _NUMBER.size else None
