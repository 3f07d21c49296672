"""DIMSE statuses of the storage service: those that the node answers, and what the answer of a destination means for a delivery.

PS3.4 Annex B.2.3 (storage), PS3.7 Annex C.5 (general failures).
"""

from dataclasses import dataclass
from enum import StrEnum

SUCCESS = 0x0000
INVALID_INSTANCE = 0x0117  # Invalid SOP Instance: the UID is malformed
MISSING_ATTRIBUTE = 0x0120  # a required element of the command is missing
NOT_AUTHORISED = 0x0124  # Refused: not authorised
OUT_OF_RESOURCES = 0xA700  # Refused: Out of Resources; the sender tries again
IDENTITY_MISMATCH = 0xA900  # Error: Data Set does not match SOP Class
CANNOT_UNDERSTAND = 0xC000  # Error: Cannot Understand
UNEXPECTED = 0xC001  # Error: Cannot Understand, caused by an error of this node


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """The status of a C-STORE-RSP, and its error comment, which holds no patient data."""

    status: int
    comment: str = ""


class SendOutcome(StrEnum):
    """What the answer of a destination means for the delivery."""

    STORED = "stored"
    TRANSIENT = "transient"  # the same object may be accepted later
    HELD = "held"  # the object contradicts what the destination holds: a person has to look
    PERMANENT = "permanent"  # the same object will not be accepted


# Failures of the moment or the configuration, not of the object (PS3.7 C.5, PS3.4 B.2.3).
_TRANSIENT = {
    0x0110: "processing failure",
    0x0124: "not authorised",  # a rule at the destination, which an administrator fixes there
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0213: "resource limitation",
}
_PERMANENT = {
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0112: "no such SOP instance",
    0x0115: "invalid argument value",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class-instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0212: "mistyped argument",
}
# Permanent refusals of dcm4chee-arc, in the range of PS3.4 for transient ones (its StoreService.java, its issues 506, 1990, 4459).
HELD = {
    0xA771: "the archive has rejected this object",
    0xA772: "the rejection names an object that the archive does not hold",
    0xA773: "the rejection names an object that the archive holds under another SOP class",
    0xA774: "what the rejection names is rejected already",
    0xA777: "the archive wants a patient ID, or one of an issuer that it trusts",
    0xA778: "the patient ID differs from that of the study in the archive",
    0xA779: "patient attributes differ from those that the archive holds",
}


def classify_status(status: int) -> tuple[SendOutcome, str]:
    """Return what the status of a C-STORE-RSP means, and the same in words."""
    if status == SUCCESS:
        return SendOutcome.STORED, "stored"
    if status & 0xF000 == 0xB000 or status in (0x0001, 0x0107, 0x0116):
        # Warnings: B000 coercion, B006 elements discarded, B007 does not match the SOP class. The object is stored.
        words = {0xB000: "with elements coerced", 0xB006: "with elements discarded", 0xB007: "although it says it does not match"}
        return SendOutcome.STORED, f"stored {words.get(status, 'with a warning')}"
    if status in (0x0111, 0xA770):  # A770: dcm4chee-arc, of a rejection that it has already
        return SendOutcome.STORED, "already there: duplicate SOP instance"  # UIDs of results are derived: it is the same object
    if status in HELD:
        return SendOutcome.HELD, HELD[status]
    if status & 0xFF00 == 0xA700:
        return SendOutcome.TRANSIENT, "refused: out of resources"
    if status in _TRANSIENT:
        return SendOutcome.TRANSIENT, _TRANSIENT[status]
    if status in _PERMANENT:
        return SendOutcome.PERMANENT, _PERMANENT[status]
    if status & 0xFF00 == 0xA900:
        # Archives also answer this where patient or study differ from what they hold (merged patient, corrected accession number).
        return SendOutcome.HELD, "data set does not match its SOP class, or the patient or study that the archive holds"
    if status & 0xF000 == 0xC000:
        return SendOutcome.PERMANENT, "cannot understand"
    return SendOutcome.TRANSIENT, "a status that PS3.4 does not list"
