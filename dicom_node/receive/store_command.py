"""The C-STORE request and response as command sets, without a pydicom data set in between (PS3.7 9.3.1)."""

import re
from dataclasses import dataclass

from imaging.wire import command_set
from imaging.wire.data_elements import pad_to_even

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
MAX_COMMENT = 64  # (0000,0902) Error Comment is of VR LO
_UID = re.compile(r"(?=.{1,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
_NOT_PRINTABLE_ASCII = re.compile("[^ -~]")


@dataclass(frozen=True, slots=True)
class StoreCommand:
    """A C-STORE request. The UIDs are kept as received, without padding, even if they are malformed."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    complete: bool  # every element that PS3.7 9.1.1.1 requires is present

    @property
    def malformed(self) -> bool:
        """Whether a UID is not formed as PS3.5 9.1 says. Some are accepted all the same; see `dicom_node.receive.intake`."""
        return not (_UID.fullmatch(self.sop_class_uid) and _UID.fullmatch(self.sop_instance_uid))


def read_store_request(elements: dict[int, bytes]) -> StoreCommand | None:
    """Return the C-STORE-RQ of the elements of a command set; None if it is another message.

    Raises
    ------
    ValueError
        The C-STORE-RQ has no Message ID, so it cannot be answered.
    """
    if command_set.read_unsigned_short(elements, command_set.COMMAND_FIELD) != C_STORE_RQ:
        return None
    message_id = command_set.read_unsigned_short(elements, command_set.MESSAGE_ID)
    if message_id is None:
        raise ValueError("a C-STORE request without Message ID")
    sop_class = command_set.read_uid(elements, command_set.AFFECTED_SOP_CLASS_UID)
    sop_instance = command_set.read_uid(elements, command_set.AFFECTED_SOP_INSTANCE_UID)
    data_set_type = command_set.read_unsigned_short(elements, command_set.COMMAND_DATA_SET_TYPE)
    has_data_set = data_set_type not in (None, command_set.NO_DATA_SET)
    has_priority = command_set.read_unsigned_short(elements, command_set.PRIORITY) in (0, 1, 2)
    return StoreCommand(message_id, sop_class, sop_instance, bool(sop_class and sop_instance and has_data_set and has_priority))


def encode_store_response(command: StoreCommand, status: int, comment: str = "") -> bytes:
    """Encode the C-STORE-RSP.

    ``comment`` holds no patient data; it is cut to what LO allows. Malformed UIDs are not sent back: the elements are optional.
    """
    plain = _NOT_PRINTABLE_ASCII.sub("?", comment.replace("\\", "/"))[:MAX_COMMENT].rstrip().encode()
    elements = {
        command_set.AFFECTED_SOP_CLASS_UID: command.sop_class_uid.encode(),
        command_set.COMMAND_FIELD: command_set.encode_unsigned_short(C_STORE_RSP),
        command_set.MESSAGE_ID_BEING_RESPONDED_TO: command_set.encode_unsigned_short(command.message_id),
        command_set.COMMAND_DATA_SET_TYPE: command_set.encode_unsigned_short(command_set.NO_DATA_SET),
        command_set.STATUS: command_set.encode_unsigned_short(status),
        command_set.ERROR_COMMENT: pad_to_even(plain),
        command_set.AFFECTED_SOP_INSTANCE_UID: command.sop_instance_uid.encode(),
    }
    if command.malformed:
        del elements[command_set.AFFECTED_SOP_CLASS_UID], elements[command_set.AFFECTED_SOP_INSTANCE_UID]
    if not plain:
        del elements[command_set.ERROR_COMMENT]
    return command_set.write_command_set(elements)
