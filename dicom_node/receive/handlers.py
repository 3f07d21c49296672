"""pynetdicom's events to the node's decisions and back: no policy, no SQL."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pynetdicom import evt

from core.errors import NodeError
from core.policy.admission import (
    BY_ACSE,
    DRAINING,
    MALFORMED,
    NO_REASON,
    REJECTED_TRANSIENT,
    TOO_MANY,
    Rejection,
    Reporter,
    judge_association,
    standing,
)
from core.settings.settings import Settings
from db import audit
from db.blobs.store import Blobs
from db.engine import Database
from dicom_node import contexts
from dicom_node.commitment.handlers import CommitmentHandlers
from dicom_node.receive.back_pressure import Gate
from dicom_node.receive.intake import Intake, Received
from dicom_node.receive.leases import How, Leases
from dicom_node.receive.receive_counts import ReceivedCounts
from dicom_node.receive.spool import Spool
from dicom_node.statuses import CANNOT_UNDERSTAND, SUCCESS, Answer

AUDIT_EVERY_S = 60.0  # the same refusal again and again is one event a minute, with its number


class Handlers:
    """The event handlers of one listener process."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs, leases: Leases, gate: Gate, counts: ReceivedCounts) -> None:
        self._settings = settings
        self._database = database
        self._intake = Intake(settings, database, blobs)
        self._leases = leases
        self._gate = gate
        self._counts = counts
        self._of_sources, self._of_reporters = contexts.supported(), contexts.supported_of_reporters()
        self._commitment = CommitmentHandlers(settings, database, blobs, leases)
        self._refusals: dict[tuple[str, ...], tuple[float, int]] = {}
        self._lock = threading.Lock()
        self._log = structlog.get_logger()
        self.draining = False
        self.received = 0

    def bound(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        """What the server binds."""
        return [
            (evt.EVT_REQUESTED, self.requested),
            (evt.EVT_C_ECHO, self.echo),
            (evt.EVT_N_ACTION, self._commitment.asked),
            (evt.EVT_N_EVENT_REPORT, self._commitment.reported),
            # At once, and not when its threads have ended: the sender may come again within the millisecond.
            (evt.EVT_RELEASED, lambda event: self.ended(event.assoc)),
        ]

    def requested(self, event: Any) -> None:
        """An A-ASSOCIATE-RQ: admit it with the contexts that it may have, or reject it with the right reason."""
        try:
            self._requested(event.assoc)
        except Exception as error:  # pynetdicom would go on and accept: closed is the safe side
            self._log.error("an association request could not be judged", exception=type(error).__name__)
            event.assoc.acse.send_reject(REJECTED_TRANSIENT, BY_ACSE, NO_REASON)
            event.assoc.kill()

    def _requested(self, association: Any) -> None:
        request = association.requestor.primitive
        calling, called = str(request.calling_ae_title).strip(), str(request.called_ae_title).strip()
        address = str(association.requestor.address_info.address)
        reporters = self._commitment.reporters.of(calling)
        found = standing(calling_ae=calling, address=address, sources=self._settings.sources, reporters=reporters)
        proposed = request.presentation_context_definition_list
        with self._lock:
            rejection = DRAINING if self.draining else self._judge(calling, called, address, reporters)
            paused = self._gate.rejection(str(context.abstract_syntax) for context in proposed) if found.sends else None
            rejection = rejection or paused
            if rejection is None and not all(context.transfer_syntax for context in proposed):
                rejection = MALFORMED  # pynetdicom's negotiation would fail on it
            if rejection is None:
                self._leases.admit(id(association), calling_ae=calling, called_ae=called, address=address, standing=found)
        if rejection is None:
            table = self._of_sources if found.sends else self._of_reporters
            association.acceptor.supported_contexts = contexts.acceptable(proposed, table)
            self._log.info("association admitted", calling_ae=calling, address=address)
            return
        self._log.warning("association refused", calling_ae=calling, called_ae=called, address=address, reason=rejection.words)
        association.acse.send_reject(rejection.result, rejection.source, rejection.reason)
        if rejection is not paused:  # a pause is one event, whoever comes meanwhile
            self._audit_refusal(rejection, calling, called, address)
        association.kill()  # waits until the reject is out: the reactor closes the connection right behind

    def _judge(self, calling: str, called: str, address: str, reporters: Sequence[Reporter]) -> Rejection | None:
        return judge_association(
            calling_ae=calling,
            called_ae=called,
            address=address,
            our_ae=self._settings.node.ae_title,
            sources=self._settings.sources,
            open_now=self._leases.count(),
            limit=self._settings.receive.max_associations,
            reporters=reporters,
        )

    def _audit_refusal(self, rejection: Rejection, calling: str, called: str, address: str) -> None:
        key = (rejection.words, calling, called, address)
        with self._lock:
            last, times = self._refusals.get(key, (0.0, 0))
            now = time.monotonic()
            if last and now - last < AUDIT_EVERY_S:
                self._refusals[key] = (last, times + 1)
                return
            if len(self._refusals) > 1000:  # a scan of the network: start over rather than grow
                self._refusals.clear()
            self._refusals[key] = (now, 0)
        details = {
            "calling_ae": calling,
            "called_ae": called,
            "address": address,
            "reason": rejection.words,
            "result": rejection.result,
            "source": rejection.source,
            "diagnostic": rejection.reason,
            "repeated": times,
        }
        action = "association.deferred" if rejection in (TOO_MANY, DRAINING) else "association.refused"
        try:
            audit.record_now(self._database, actor="listen", action=action, subject=f"association:{calling}", details=details)
        except NodeError as error:
            self._log.error("a refusal could not be audited", calling_ae=calling, error=str(error))

    def echo(self, _event: Any) -> int:
        """C-ECHO."""
        return SUCCESS

    def store(self, association: Any, context: Any, spool: Spool) -> Answer:
        """C-STORE: see `Intake.take`."""
        admitted = self._leases.of(id(association))
        if admitted is None or not admitted.standing.sends:
            return Answer(CANNOT_UNDERSTAND, "the C-STORE came without a data set")
        received = Received(
            abstract_syntax=str(context.abstract_syntax),
            source=admitted.calling_ae,
            spool=spool,
        )
        result = self._intake.take(received, lambda: self._leases.keep(admitted))
        self.received += result.status == SUCCESS
        self._counts.add(result.status, spool.size_bytes)
        return result

    def close(self) -> None:
        """No association is left."""
        self._intake.close()

    def ended(self, association: Any) -> None:
        """An association is over, however it ended. Harmless twice."""
        how: How = "released" if association.is_released else "aborted" if association.is_aborted else "lost"
        self._leases.end(id(association), how)
