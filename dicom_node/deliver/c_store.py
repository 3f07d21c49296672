"""C-STORE SCU: one association for several objects (PS3.4 Annex B).

What is kept is one uncompressed file. How it goes over the wire is agreed on with each association: segmentations and parametric
maps, which are mostly zeros, are deflated (PS3.5 A.5) where the peer accepts that. Bits that are packed eight to a byte have no
other compression that viewers read.
"""

from collections.abc import Sequence
from typing import Self

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ParametricMapStorage,
    SegmentationStorage,
)
from pynetdicom.association import Association

from core.settings.destinations import Destination
from core.settings.settings import Settings
from dicom_node.association import NoAssociation, address_of, associate, entity_of
from dicom_node.contexts import VERIFICATION
from dicom_node.deliver.transport_types import Echo, Parcel, Receipt, dataset_of
from dicom_node.statuses import Verdict, verdict

_UNCOMPRESSED = frozenset({str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)})
_MOSTLY_ZEROS = frozenset({str(SegmentationStorage), str(ParametricMapStorage)})


class DimseTransport:
    """A presentation context for each SOP class and syntax of the parcels.

    Raises
    ------
    CannotUnderstand
        A parcel cannot be read.
    """

    def __init__(self, settings: Settings, destination: Destination, parcels: Sequence[Parcel]) -> None:
        self._settings = settings
        self._destination = destination
        self._datasets: dict[str, Dataset] = {}
        self._wanted: dict[str, list[str]] = {}
        for parcel in parcels:
            dataset = dataset_of(parcel)
            self._datasets[parcel.sop_instance_uid] = dataset
            syntax = str(dataset.file_meta.TransferSyntaxUID)
            order = self._wanted.setdefault(parcel.sop_class_uid, [])
            also = sorted(_UNCOMPRESSED) if syntax in _UNCOMPRESSED else []  # these two convert into each other without loss
            if syntax == ExplicitVRLittleEndian and parcel.sop_class_uid in _MOSTLY_ZEROS:
                also.append(str(DeflatedExplicitVRLittleEndian))
            order.extend(uid for uid in (syntax, *also) if uid not in order)
        self._association: Association | NoAssociation = NoAssociation("no association")

    def __enter__(self) -> Self:
        entity = entity_of(self._settings, self._settings.delivery.timeout_s)
        for sop_class, syntaxes in self._wanted.items():
            for syntax in syntaxes:  # one context each: the peer's choice of one must not hide the others
                entity.add_requested_context(sop_class, syntax)
        self._association = associate(entity, address_of(self._destination))
        return self

    def __exit__(self, *_: object) -> None:
        association, self._association = self._association, NoAssociation("the association is over")
        if isinstance(association, Association) and association.is_established:
            association.release()

    def send(self, parcel: Parcel) -> Receipt:
        """C-STORE one object; deflated where that was accepted, and once more as it is where the peer then cannot take it."""
        dataset = self._datasets[parcel.sop_instance_uid]
        accepted = self._accepted(parcel.sop_class_uid)
        if DeflatedExplicitVRLittleEndian in accepted and dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian:
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
            receipt = self._send(parcel, dataset)
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            if not _unreadable(receipt.status) or receipt.broken or not accepted & _UNCOMPRESSED:
                return receipt
        return self._send(parcel, dataset)

    def _accepted(self, sop_class_uid: str) -> frozenset[str]:
        """The transfer syntaxes that the peer takes for a class."""
        if isinstance(self._association, NoAssociation):
            return frozenset()
        contexts = self._association.accepted_contexts
        return frozenset(str(one.transfer_syntax[0]) for one in contexts if one.abstract_syntax == sop_class_uid)

    def _send(self, parcel: Parcel, dataset: Dataset) -> Receipt:
        association = self._association
        if isinstance(association, NoAssociation):
            if association.permanent:
                return Receipt(Verdict.PERMANENT, association.words)
            return Receipt(Verdict.TRANSIENT, association.words, broken=True, away=True)
        if not association.is_established:
            return Receipt(Verdict.TRANSIENT, "the association ended before the object was sent", broken=True)
        if not self._accepted(parcel.sop_class_uid):
            name = UID(parcel.sop_class_uid).name
            return Receipt(Verdict.PERMANENT, f"the destination does not accept {name}, or not in this transfer syntax")
        try:
            response = association.send_c_store(dataset)
        except ValueError as error:
            return Receipt(Verdict.PERMANENT, f"no accepted presentation context fits: {type(error).__name__}")
        except (RuntimeError, OSError) as error:
            return Receipt(Verdict.TRANSIENT, f"the association broke: {type(error).__name__}", broken=True)
        if "Status" not in response:  # timed out, aborted, or an invalid response
            if association.is_established:
                association.abort()
            return Receipt(Verdict.TRANSIENT, "no answer: time-out, or the association was aborted", broken=True)
        status = int(response.Status)
        judged, words = verdict(status)
        comment = str(response.get("ErrorComment", "") or "") if judged is not Verdict.STORED else ""
        return Receipt(judged, words, status, comment=comment)


def _unreadable(status: int | None) -> bool:
    """Whether an answer may mean that the encoding was the trouble: processing failure, cannot understand (PS3.4 B.2.3)."""
    return status is not None and (status == 0x0110 or status & 0xF000 == 0xC000)


def echo(settings: Settings, destination: Destination, timeout_s: float) -> Echo:
    """C-ECHO (PS3.4 Annex A)."""
    entity = entity_of(settings, timeout_s)
    entity.add_requested_context(VERIFICATION)
    association = associate(entity, address_of(destination))
    if isinstance(association, NoAssociation):
        return Echo(False, association.words)
    try:
        response = association.send_c_echo()
    except (RuntimeError, ValueError) as error:
        return Echo(False, f"C-ECHO failed: {type(error).__name__}: verification was not accepted")
    finally:
        if association.is_established:
            association.release()
    if "Status" not in response:
        return Echo(False, "no answer to C-ECHO")
    status = int(response.Status)
    return Echo(status == 0, "C-ECHO answered" if status == 0 else f"C-ECHO answered 0x{status:04X}")
