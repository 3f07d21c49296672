"""Reads the header of a received instance, and compares it with the command and the presentation context."""

from dataclasses import dataclass

from core.errors import CannotUnderstand
from core.policy.admission import check_identity
from core.records import InstanceHeader
from db.blobs.temporary_file import TemporaryFile
from dicom_node.receive.headers.header_reader import HeaderReader
from dicom_node.receive.spool import SpoolFile
from dicom_node.statuses import INVALID_INSTANCE

MAX_UID_CHARS = 64  # PS3.5 9.1


@dataclass(frozen=True, slots=True)
class ReceivedInstance:
    """The data set of one C-STORE with the abstract syntax of its presentation context. ``source``: the calling AE title."""

    abstract_syntax: str
    source: str
    spool: SpoolFile


def read_checked_header(reader: HeaderReader, received: ReceivedInstance, file: TemporaryFile) -> InstanceHeader:
    """Return the header of the finished spool file.

    Raises
    ------
    IntakeError
        The data set cannot be read, is cut short, or is not what the command says.
    """
    identity = received.spool.identity
    if len(identity.sop_instance_uid) > MAX_UID_CHARS:
        raise CannotUnderstand("the SOP instance UID of the command is too long", status=INVALID_INSTANCE)
    if not received.spool.size_bytes:
        raise CannotUnderstand("the C-STORE came without a data set")
    header = reader.read(file.path, beginning=received.spool.beginning, size_bytes=file.size_bytes)
    check_identity(
        sop_class_uid=identity.sop_class_uid,
        sop_instance_uid=identity.sop_instance_uid,
        abstract_syntax=received.abstract_syntax,
        header=header,
    )
    return header
