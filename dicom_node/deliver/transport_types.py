"""What every transport takes and gives."""

import io
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset

from core.errors import CannotUnderstand
from dicom_node.statuses import Verdict
from imaging.wire.tolerant_parser import read_dataset


@dataclass(frozen=True, slots=True)
class Parcel:
    """One object on its way: a whole Part 10 file, and what it is."""

    sop_class_uid: str
    sop_instance_uid: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a parcel.

    ``status`` is the DIMSE status (STOW-RS: the failure reason, which is one), None where none came.
    ``broken``: nothing more goes this way now. ``away``: the destination is not there; the object has not been tried at all.
    ``comment``: the destination's own words, which may name the patient: for the database, never for the log.
    """

    verdict: Verdict
    words: str
    status: int | None = None
    broken: bool = False
    away: bool = False
    comment: str = ""

    @property
    def note(self) -> str:
        """What is kept with the delivery."""
        return f"{self.words}: {self.comment}" if self.comment else self.words


def dataset_of(parcel: Parcel) -> Dataset:
    """The parcel's data set, pixels included.

    Raises
    ------
    CannotUnderstand
        It is no Part 10 file that says its transfer syntax.
    """
    dataset = read_dataset(io.BytesIO(parcel.content), pixels=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise CannotUnderstand("its bytes are no Part 10 file", hint="restore the blob from a backup")
    return dataset


class Transport(AbstractContextManager["Transport"], Protocol):
    """A connection to one destination, for parcels that are known when it is opened."""

    def send(self, parcel: Parcel) -> Receipt:
        """Deliver one parcel. Never raises for what the destination does."""


@dataclass(frozen=True, slots=True)
class Echo:
    """Whether a destination answered, and in words."""

    ok: bool
    words: str
