"""Handlers of pynetdicom's events: they call the rules and the database, and turn the result into an answer of DICOM."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pynetdicom import evt

from core.logs import fingerprint, logs_debug
from core.policy.admission import (
    INTERNAL_ERROR,
    MALFORMED_CONTEXT,
    SHUTTING_DOWN,
    WRONG_CALLED_TITLE,
    Rejection,
    ReportingPeer,
    caller_rights,
    check_association,
)
from core.policy.peer_certificate import PeerCertificate
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from dicom_node import contexts
from dicom_node.commitment.handlers import CommitmentHandlers
from dicom_node.negotiated_contexts import describe_contexts, uid_name
from dicom_node.receive.back_pressure import BackPressure
from dicom_node.receive.headers.header_check import ReceivedInstance
from dicom_node.receive.intake import Intake
from dicom_node.receive.leases import AssociationEnd, AssociationLeases
from dicom_node.receive.receive_counts import ReceiveCounts
from dicom_node.receive.refusal_audit import RefusalAudit
from dicom_node.receive.spool import DataSetIdentity, SpoolFile
from dicom_node.statuses import CANNOT_UNDERSTAND, SUCCESS, StoreAnswer


class AssociationHandlers:
    """The event handlers of one listener process.

    Attributes
    ----------
    draining
        Set while the listener shuts down: no further association is accepted.
    stored
        How many instances this process has stored.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        blobs: Blobs,
        leases: AssociationLeases,
        back_pressure: BackPressure,
        counts: ReceiveCounts,
    ) -> None:
        self._settings = settings
        self._blobs = blobs
        self._intake = Intake(settings, database, blobs)
        self._leases = leases
        self._back_pressure = back_pressure
        self._counts = counts
        self._source_contexts = contexts.supported_by_storage()
        self._reporter_contexts = contexts.supported_by_commitment_reports()
        self._commitment = CommitmentHandlers(settings, database, blobs, leases)
        self._refusal_audit = RefusalAudit(database)
        self._lock = threading.Lock()
        self._log = structlog.get_logger()
        self.draining = False
        self.stored = 0

    def event_handlers(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        """Return what the server binds to pynetdicom's events. A C-STORE raises no event; see `store`."""
        return [
            (evt.EVT_REQUESTED, self.answer_association_request),
            (evt.EVT_ACCEPTED, self.log_contexts),
            (evt.EVT_C_ECHO, self.answer_echo),
            (evt.EVT_N_ACTION, self._commitment.answer_request),
            (evt.EVT_N_EVENT_REPORT, self._commitment.answer_report),
            # At the release, not when the association's threads have ended: the sender may request the next one within a millisecond.
            (evt.EVT_RELEASED, lambda event: self.end_association(event.assoc)),
        ]

    def apply(self, settings: Settings) -> None:
        """Use these settings from now on. Associations that are open go on: what they may do was decided when they were accepted."""
        with self._lock:
            self._settings = settings
            self._intake.apply(settings)
            self._commitment.apply(settings)

    def answer_association_request(self, event: Any) -> None:
        """A-ASSOCIATE-RQ: accept it with the presentation contexts that the caller may use, or reject it with the reason (PS3.8 9.3.4)."""
        try:
            self._answer_association_request(event.assoc)
        except Exception as error:  # pynetdicom would ignore the error and accept the association
            self._log.error("association_request_failed", exception=type(error).__name__)
            event.assoc.acse.send_reject(INTERNAL_ERROR.result, INTERNAL_ERROR.source, INTERNAL_ERROR.reason)
            event.assoc.kill()

    def _answer_association_request(self, association: Any) -> None:
        request = association.requestor.primitive
        calling, called = str(request.calling_ae_title).strip(), str(request.called_ae_title).strip()
        address = str(association.requestor.address_info.address)
        reporters = self._commitment.reporters.of_title(calling)
        certificate = association.peer_certificate
        sources = self._settings.sources
        caller = caller_rights(calling_ae=calling, address=address, sources=sources, reporters=reporters, certificate=certificate)
        proposed = request.presentation_context_definition_list
        with self._lock:  # so that the limit on associations holds between the decision and the admission
            rejection = SHUTTING_DOWN if self.draining else self._decide(calling, called, address, reporters, certificate)
            pause = self._back_pressure.rejection(str(context.abstract_syntax) for context in proposed) if caller.may_store else None
            rejection = rejection or pause
            if rejection is None and not all(context.transfer_syntax for context in proposed):
                rejection = MALFORMED_CONTEXT  # pynetdicom's negotiation would fail
            if rejection is None:
                self._leases.admit(id(association), calling_ae=calling, called_ae=called, address=address, rights=caller)
        if rejection is None:
            supported = self._source_contexts if caller.may_store else self._reporter_contexts
            association.acceptor.supported_contexts = contexts.acceptable(proposed, supported)
            self._log.info("association_accepted", calling_ae=calling, address=address)
            return
        expected = {"expected": self._settings.node.ae_title} if rejection is WRONG_CALLED_TITLE else {}
        self._log.warning(
            "association_rejected",
            calling_ae=calling, called_ae=called, address=address, reason=rejection.description, hint=rejection.hint, **expected,
        )  # fmt: skip
        association.acse.send_reject(rejection.result, rejection.source, rejection.reason)
        if rejection is not pause:  # a pause is audited once, at its beginning
            self._refusal_audit.record(rejection, calling_ae=calling, called_ae=called, address=address)
        association.kill()  # the association's thread closes the connection once the rejection is sent

    def log_contexts(self, event: Any) -> None:
        """Log at level debug which presentation contexts were accepted."""
        if logs_debug():
            calling = str(event.assoc.requestor.primitive.calling_ae_title).strip()
            self._log.debug("association_negotiated", calling_ae=calling, **describe_contexts(event.assoc))

    def _decide(
        self, calling: str, called: str, address: str, reporters: Sequence[ReportingPeer], certificate: PeerCertificate | None
    ) -> Rejection | None:
        return check_association(
            calling_ae=calling,
            called_ae=called,
            address=address,
            our_ae=self._settings.node.ae_title,
            sources=self._settings.sources,
            open_now=self._leases.count(),
            limit=self._settings.receive.max_associations,
            reporters=reporters,
            certificate=certificate,
        )

    def refuse_handshake(self, address: str, reason: str) -> None:
        """A TLS handshake failed: log and audit it with the peer's address."""
        self._log.warning("tls_refused", address=address, reason=reason)
        self._refusal_audit.record_handshake(address=address, reason=reason)

    def answer_echo(self, _event: Any) -> int:
        """C-ECHO (PS3.4 Annex A)."""
        return SUCCESS

    def new_spool_file(self, identity: DataSetIdentity) -> SpoolFile:
        """Make the file for the data set of a C-STORE that begins; while receiving is paused, one that keeps nothing."""
        spool = SpoolFile(self._blobs, identity, max_bytes=self._settings.receive.max_instance_bytes)
        if reason := self._back_pressure.pause_reason:
            spool.fail(reason)
        return spool

    def store(self, association: Any, context: Any, spool: SpoolFile) -> StoreAnswer:
        """C-STORE whose data set has arrived: see `Intake.store`."""
        admitted = self._leases.find(id(association))
        if admitted is None or not admitted.rights.may_store:
            return StoreAnswer(CANNOT_UNDERSTAND, "the C-STORE came without a data set")
        received = ReceivedInstance(abstract_syntax=str(context.abstract_syntax), source=admitted.calling_ae, spool=spool)
        answer = self._intake.store(received, lambda: self._leases.ensure_row(admitted))
        self.stored += answer.status == SUCCESS
        self._counts.add(answer.status, spool.size_bytes)
        if logs_debug():
            self._log_answer(admitted.calling_ae, spool, answer)
        return answer

    def _log_answer(self, source: str, spool: SpoolFile, answer: StoreAnswer) -> None:
        self._log.debug(
            "instance_answered",
            source=source,
            instance=fingerprint(spool.identity.sop_instance_uid),
            sop_class=uid_name(spool.identity.sop_class_uid),
            syntax=uid_name(spool.identity.transfer_syntax_uid),
            bytes=spool.size_bytes,
            seconds=round(time.monotonic() - spool.began, 4),
            status_hex=f"{answer.status:04X}",
            reason=answer.comment,
        )

    def end_association(self, association: Any) -> None:
        """Release the lease of an association that is over, however it ended. May be called again."""
        how: AssociationEnd = "released" if association.is_released else "aborted" if association.is_aborted else "lost"
        self._leases.end(id(association), how)

    def close(self) -> None:
        """Release what is kept for the next instance; called when no association is open."""
        self._intake.close()
