"""The types that every transport uses: what is sent, what became of it, and the protocol of a transport."""

import io
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset

from core.errors import CannotUnderstand
from dicom_node.statuses import SendOutcome
from imaging.wire.tolerant_parser import read_dataset


@dataclass(frozen=True, slots=True)
class OutgoingObject:
    """One result object to send. ``content``: a complete Part 10 file."""

    sop_class_uid: str
    sop_instance_uid: str
    content: bytes


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one object.

    Attributes
    ----------
    reason
        The outcome in words, without patient data.
    status
        The DIMSE status (STOW-RS: the Failure Reason, which is one); None where there was no answer.
    connection_lost
        Nothing more can be sent over this connection.
    unreachable
        The destination did not respond; the object was not sent at all, and no attempt is counted.
    comment
        The destination's own words, which may name the patient: for the database, never for the log.
    """

    outcome: SendOutcome
    reason: str
    status: int | None = None
    connection_lost: bool = False
    unreachable: bool = False
    comment: str = ""

    @property
    def note(self) -> str:
        """The text that is stored with the delivery."""
        return f"{self.reason}: {self.comment}" if self.comment else self.reason


@dataclass(frozen=True, slots=True)
class EchoResult:
    """Whether a destination answered, and in words."""

    ok: bool
    text: str


class Transport(AbstractContextManager["Transport"], Protocol):
    """A connection to one destination. The objects to send are known when it is opened: C-STORE negotiates contexts for them."""

    def send(self, outgoing: OutgoingObject) -> SendResult:
        """Send one object. Never raises for what the destination does."""


def decode_object(outgoing: OutgoingObject) -> Dataset:
    """Return the data set of an object, pixels included.

    Raises
    ------
    CannotUnderstand
        The content is no Part 10 file with a Transfer Syntax UID.
    """
    dataset = read_dataset(io.BytesIO(outgoing.content), pixels=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise CannotUnderstand("its bytes are no Part 10 file", hint="restore the blob from a backup")
    return dataset
