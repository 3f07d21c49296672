"""Command sets are written as pynetdicom reads them, and read as pynetdicom writes them."""

from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from imaging.wire import command_set


def test_written_command_sets_are_read_by_pynetdicom() -> None:
    content = command_set.write_command_set(
        {
            command_set.AFFECTED_SOP_CLASS_UID: b"1.2.3",
            command_set.COMMAND_FIELD: command_set.encode_unsigned_short(0x8001),
            command_set.STATUS: command_set.encode_unsigned_short(0xC000),
        }
    )
    response = decode(BytesIO(content), True, True)
    assert (response.AffectedSOPClassUID, response.CommandField, response.Status) == ("1.2.3", 0x8001, 0xC000)
    assert response.CommandGroupLength == len(content) - 12


def test_command_sets_of_pynetdicom_are_read() -> None:
    request = Dataset()
    request.AffectedSOPClassUID, request.CommandField, request.MessageID = "1.2.3", 0x0001, 7
    request.CommandDataSetType, request.AffectedSOPInstanceUID = 0x0001, "1.2.34"
    values = command_set.read_command_set(encode(request, True, True) or b"")
    assert command_set.read_uid(values, command_set.AFFECTED_SOP_INSTANCE_UID) == "1.2.34"
    assert command_set.read_unsigned_short(values, command_set.MESSAGE_ID) == 7
    assert command_set.read_unsigned_short(values, command_set.PRIORITY) is None
    assert command_set.has_data_set(values)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\0\0\0\1\2\0\0", "ends within an element"),
        (b"\0\0\0\1\2\0\0\0\1", "ends within a value"),
        (b"\x08\0\0\1\0\0\0\0", "another group"),
    ],
)
def test_malformed_command_sets_are_refused(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        command_set.read_command_set(content)
