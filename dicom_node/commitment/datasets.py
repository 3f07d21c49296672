"""Encoding and decoding of the data sets of storage commitment (PS3.4 J.3.2, J.3.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_node.contexts import STORAGE_COMMITMENT

PUSH_MODEL = STORAGE_COMMITMENT
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"  # its well-known SOP Instance
REQUEST_ACTION = 1  # Action Type ID, PS3.4 Table J.3-1
ALL_COMMITTED, FAILURES_EXIST = 1, 2  # Event Type ID, PS3.4 Table J.3-3

# Failure Reason (0008,1197), PS3.3 C.14.1.1
PROCESSING_FAILURE, NO_SUCH_INSTANCE, CLASS_CONFLICT, DUPLICATE_TRANSACTION = 0x0110, 0x0112, 0x0119, 0x0131
_REASONS = {
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_INSTANCE: "no such object instance",
    CLASS_CONFLICT: "class-instance conflict",
    0x0122: "SOP class not supported",
    0x0213: "resource limitation",
    DUPLICATE_TRANSACTION: "duplicate Transaction UID",
}


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """The content of an N-EVENT-REPORT. ``failed``: SOP Instance UID -> Failure Reason, 0 where none is given."""

    transaction_uid: str
    committed: tuple[str, ...]
    failed: Mapping[str, int]


def failure_reason_text(reason: int) -> str:
    """Return a Failure Reason in words."""
    return f"{_REASONS.get(reason, 'reason')} (0x{reason:04X})" if reason else "no reason given"


def encode_request(transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Dataset:
    """Encode the Action Information of a request. ``instances``: (SOP Class UID, SOP Instance UID)."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_item(*pair) for pair in instances]
    return information


def encode_report(transaction_uid: str, held: Sequence[tuple[str, str]], failed: Sequence[tuple[str, str, int]]) -> tuple[Dataset, int]:
    """Encode the Event Information of a report, and return it with its Event Type ID.

    Parameters
    ----------
    held
        (SOP Class UID, SOP Instance UID) of each committed instance.
    failed
        (SOP Class UID, SOP Instance UID, Failure Reason) of each other instance.
    """
    information = Dataset()
    information.TransactionUID = transaction_uid
    if held:
        information.ReferencedSOPSequence = [_item(*pair) for pair in held]
    if not failed:
        return information, ALL_COMMITTED
    items = []
    for sop_class, sop_instance, reason in failed:
        item = _item(sop_class, sop_instance)
        item.FailureReason = reason
        items.append(item)
    information.FailedSOPSequence = items
    return information, FAILURES_EXIST


def _item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def decode_request(information: Dataset) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return Transaction UID and (SOP Class UID, SOP Instance UID) of each instance; empty where they are missing."""
    pairs = {
        str(item.get("ReferencedSOPInstanceUID", "") or ""): str(item.get("ReferencedSOPClassUID", "") or "")
        for item in information.get("ReferencedSOPSequence") or ()
    }
    pairs.pop("", None)
    return str(information.get("TransactionUID", "") or ""), tuple((sop_class, uid) for uid, sop_class in pairs.items())


def decode_report(information: Dataset) -> CommitmentReport:
    """Decode tolerantly: items without an instance are left out, and an instance in both sequences counts as failed."""
    failed = {
        str(item.get("ReferencedSOPInstanceUID", "") or ""): _reason(item.get("FailureReason"))
        for item in information.get("FailedSOPSequence") or ()
    }
    failed.pop("", None)
    listed = (str(item.get("ReferencedSOPInstanceUID", "") or "") for item in information.get("ReferencedSOPSequence") or ())
    committed = tuple(uid for uid in listed if uid and uid not in failed)
    return CommitmentReport(str(information.get("TransactionUID", "") or ""), committed, failed)


def _reason(value: object) -> int:
    """Return a Failure Reason as a number; 0 where it is none, or several."""
    return value if isinstance(value, int) else 0
