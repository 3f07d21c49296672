"""N-EVENT-REPORT out: what is safe here, told to the source that asked; a thread of the role ``send``."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from pynetdicom import build_role
from pynetdicom.association import Association

from core.errors import NodeError
from core.settings.settings import Settings
from core.settings.sources import PeerAddress, Source
from db.blobs.store import Blobs
from db.commitment import source_requests
from db.commitment.source_requests import Asked
from db.engine import Database
from dicom_node.association import NoAssociation, associate, entity_of
from dicom_node.commitment.datasets import (
    CLASS_CONFLICT,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    report,
)
from dicom_node.commitment.request_sender import TURN_S
from dicom_node.role import Backoff, retry_in_s
from dicom_node.statuses import SUCCESS


@dataclass(frozen=True, slots=True)
class Safe:
    """What of a request is safe here, and what is not, with its Failure Reason."""

    held: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, int], ...]


def look_up(database: Database, blobs: Blobs, asked: Asked) -> Safe:
    """Safe is what has a committed row and its bytes on disk, under the SOP class that the source names."""
    known = source_requests.contents(database, [uid for _, uid in asked.instances])
    held, failed = [], []
    for sop_class, uid in asked.instances:
        found = known.get(uid, [])
        of_class = [content for content in found if content.sop_class_uid == sop_class]
        if any(blobs.path(content.sha256).is_file() for content in of_class):
            held.append((sop_class, uid))
        else:
            reason = NO_SUCH_INSTANCE if not found else CLASS_CONFLICT if not of_class else PROCESSING_FAILURE
            failed.append((sop_class, uid, reason))
    return Safe(tuple(held), tuple(failed))


def tell(association: Association, asked: Asked, safe: Safe) -> str:
    """Send the answer on an association; "" where the source took it, else why not."""
    information, event_type = report(asked.transaction_uid, safe.held, safe.failed)
    try:
        response, _ = association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except (RuntimeError, ValueError, OSError) as error:
        return f"N-EVENT-REPORT could not be sent: {type(error).__name__}"
    if "Status" not in response:
        return "no answer to N-EVENT-REPORT"
    status = int(response.Status)
    return "" if status == SUCCESS else f"N-EVENT-REPORT answered 0x{status:04X}"


def answers_at(sources: Sequence[Source], ae_title: str) -> PeerAddress | None:
    """Where a source of this title takes answers; None: only on its own association."""
    return next((source.report_address for source in sources if source.ae_title == ae_title and source.report_address is not None), None)


class Answering(threading.Thread):
    """Brings every answer to its source, on an association of its own, until it is taken or given up."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs, stop: threading.Event, bell: threading.Condition) -> None:
        super().__init__(name="answer-commitment", daemon=True)
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._stop_event = stop
        self._bell = bell

    def run(self) -> None:
        backoff = Backoff(self._stop_event)
        while not self._stop_event.is_set():
            try:
                asked = source_requests.claim(self._database, lease_s=self._settings.delivery.lease_s)
                if asked is not None:
                    self._answer(asked)
                backoff.worked()
            except NodeError as error:
                backoff.failed("answers on storage commitment wait", error)
                continue
            except Exception as error:  # it is claimed again when its lease is over
                structlog.get_logger().error("an answer waits: unexpected", exception=type(error).__name__, exc_info=True)
                self._stop_event.wait(TURN_S)
                continue
            if asked is None:
                with self._bell:
                    if not self._stop_event.is_set():
                        self._bell.wait(TURN_S)

    def _answer(self, asked: Asked) -> None:
        log = structlog.get_logger().bind(source=asked.source, attempt=asked.attempts)
        address = answers_at(self._settings.sources, asked.source)
        if address is None:
            why = "the association ended before the answer, and the source has neither a `commitment` nor a `query` address"
            source_requests.failed(self._database, asked, why=why)
            log.error("storage commitment is not answered", reason=why)
            return
        safe = look_up(self._database, self._blobs, asked)
        why = self._bring(address, asked, safe)
        if not why:
            source_requests.answered(self._database, asked, held=len(safe.held))
            log.info("storage commitment answered", count=len(safe.held), missing=len(safe.failed))
        elif asked.attempts >= self._settings.delivery.max_attempts:
            source_requests.failed(self._database, asked, why=f"given up after {asked.attempts} attempts: {why}")
            log.error("storage commitment is not answered", reason=why)
        else:
            in_s = retry_in_s(asked.attempts, self._settings.delivery)
            source_requests.later(self._database, asked, why=why, in_s=in_s)
            log.warning("an answer on storage commitment waits", reason=why, seconds=round(in_s, 1))

    def _bring(self, address: PeerAddress, asked: Asked, safe: Safe) -> str:
        entity = entity_of(self._settings, self._settings.delivery.timeout_s)
        entity.add_requested_context(PUSH_MODEL)
        role = build_role(PUSH_MODEL, scp_role=True)  # PS3.4 J.3.3: we open the association, and are the SCP on it
        association = associate(entity, address, roles=[role])
        if isinstance(association, NoAssociation):
            return association.words
        try:
            return tell(association, asked, safe)
        finally:
            if association.is_established:
                association.release()
