"""Delivery by C-STORE (PS3.4 Annex B): one association for several objects.

Results are kept as uncompressed files, and their encoding is negotiated with each association: segmentations and parametric maps, which
are mostly zeros, are offered deflated (PS3.5 A.5) to destinations with ``deflate = true``, and sent so where they accept it. Viewers read
no other compression of pixels that are packed eight to a byte, and several do not read this one.
"""

import time
from collections.abc import Sequence
from typing import Self

import structlog
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

from core.logs import logs_debug
from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from dicom_node.deliver.transport_types import EchoResult, OutgoingObject, SendResult, decode_object
from dicom_node.negotiated_contexts import describe_contexts
from dicom_node.peer_echo import echo_peer
from dicom_node.requestor import NoAssociation, dimse_address, request_association, requestor
from dicom_node.statuses import SendOutcome, classify_status

_UNCOMPRESSED = frozenset({str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)})
_SENT_DEFLATED = frozenset({str(SegmentationStorage), str(ParametricMapStorage)})


class StoreTransport:
    """Proposes one presentation context for each SOP class and transfer syntax of the objects.

    Raises
    ------
    CannotUnderstand
        An object cannot be read.
    """

    def __init__(self, settings: Settings, destination: Destination, objects: Sequence[OutgoingObject]) -> None:
        self._settings = settings
        self._destination = destination
        self._datasets: dict[str, Dataset] = {}
        self._proposed: dict[str, list[str]] = {}  # SOP Class UID -> Transfer Syntax UIDs
        for outgoing in objects:
            dataset = decode_object(outgoing)
            self._datasets[outgoing.sop_instance_uid] = dataset
            syntax = str(dataset.file_meta.TransferSyntaxUID)
            syntaxes = self._proposed.setdefault(outgoing.sop_class_uid, [])
            others = sorted(_UNCOMPRESSED) if syntax in _UNCOMPRESSED else []  # these two convert into each other without loss
            if destination.deflate and syntax == ExplicitVRLittleEndian and outgoing.sop_class_uid in _SENT_DEFLATED:
                others.append(str(DeflatedExplicitVRLittleEndian))
            syntaxes.extend(uid for uid in (syntax, *others) if uid not in syntaxes)
        self._association: Association | NoAssociation = NoAssociation("no association")

    def __enter__(self) -> Self:
        entity = requestor(self._settings, self._settings.delivery.timeout_s)
        for sop_class, syntaxes in self._proposed.items():
            for syntax in syntaxes:  # one context each: a peer accepts one syntax of a context, and would hide which others it supports
                entity.add_requested_context(sop_class, syntax)
        began = time.monotonic()
        self._association = request_association(entity, dimse_address(self._destination))
        if logs_debug():
            self._log_association(time.monotonic() - began)
        return self

    def _log_association(self, seconds: float) -> None:
        association, log = self._association, structlog.get_logger().bind(destination=self._destination.name, seconds=round(seconds, 3))
        if isinstance(association, NoAssociation):
            log.debug("destination_not_associated", reason=association.reason)
        else:
            log.debug("destination_associated", **describe_contexts(association))

    def __exit__(self, *_: object) -> None:
        association, self._association = self._association, NoAssociation("the association is over")
        if isinstance(association, Association) and association.is_established:
            association.release()

    def send(self, outgoing: OutgoingObject) -> SendResult:
        """Send one object; deflated where that was accepted, and again uncompressed where the destination then cannot read it."""
        dataset = self._datasets[outgoing.sop_instance_uid]
        accepted = self._accepted_syntaxes(outgoing.sop_class_uid)
        if DeflatedExplicitVRLittleEndian in accepted and dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian:
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
            result = self._send(outgoing, dataset)
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            if not _may_be_unreadable(result.status) or result.connection_lost or not accepted & _UNCOMPRESSED:
                return result
        return self._send(outgoing, dataset)

    def _accepted_syntaxes(self, sop_class_uid: str) -> frozenset[str]:
        if isinstance(self._association, NoAssociation):
            return frozenset()
        contexts = self._association.accepted_contexts
        return frozenset(str(context.transfer_syntax[0]) for context in contexts if context.abstract_syntax == sop_class_uid)

    def _send(self, outgoing: OutgoingObject, dataset: Dataset) -> SendResult:
        association = self._association
        if isinstance(association, NoAssociation):
            if association.permanent:
                return SendResult(SendOutcome.PERMANENT, association.reason)
            return SendResult(SendOutcome.TRANSIENT, association.reason, connection_lost=True, unreachable=True)
        if not association.is_established:
            return SendResult(SendOutcome.TRANSIENT, "the association ended before the object was sent", connection_lost=True)
        if not self._accepted_syntaxes(outgoing.sop_class_uid):
            name = UID(outgoing.sop_class_uid).name
            return SendResult(SendOutcome.PERMANENT, f"the destination does not accept {name}, or not in this transfer syntax")
        try:
            response = association.send_c_store(dataset)
        except ValueError as error:
            return SendResult(SendOutcome.PERMANENT, f"no accepted presentation context fits: {type(error).__name__}")
        except (RuntimeError, OSError) as error:
            return SendResult(SendOutcome.TRANSIENT, f"the association broke: {type(error).__name__}", connection_lost=True)
        if "Status" not in response:  # a time-out, an abort, or an invalid response
            if association.is_established:
                association.abort()
            return SendResult(SendOutcome.TRANSIENT, "no answer: time-out, or the association was aborted", connection_lost=True)
        status = int(response.Status)
        outcome, reason = classify_status(status)
        comment = str(response.get("ErrorComment", "") or "") if outcome is not SendOutcome.STORED else ""
        return SendResult(outcome, reason, status, comment=comment)


def _may_be_unreadable(status: int | None) -> bool:
    """Whether a status may be caused by the encoding: processing failure, cannot understand (PS3.4 B.2.3)."""
    return status is not None and (status == 0x0110 or status & 0xF000 == 0xC000)


def echo(settings: Settings, destination: Destination, timeout_s: float) -> EchoResult:
    """Send C-ECHO."""
    return echo_peer(settings, dimse_address(destination), timeout_s)
