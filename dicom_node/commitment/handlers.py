"""pynetdicom's events of storage commitment to the node's acts and back."""

from typing import Any

import structlog

from core.errors import NodeError
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.commitment import source_requests
from db.engine import Database
from dicom_node.commitment.report_receiver import take_report
from dicom_node.commitment.report_sender import answers_at, look_up, tell
from dicom_node.commitment.reporting_destinations import Reporters
from dicom_node.commitment.request_receiver import take_request
from dicom_node.receive.leases import Leases
from dicom_node.statuses import NOT_AUTHORISED

RESERVED_S = 120.0  # the answer is given on the association of the request within this, or not at all


class CommitmentHandlers:
    """The handlers of one listener process."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs, leases: Leases) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._leases = leases
        self.reporters = Reporters(settings)

    def asked(self, event: Any) -> tuple[int, None]:
        """N-ACTION of a source: kept, and answered by the role ``send``; here where the source has no address for that."""
        admitted = self._leases.of(id(event.assoc))
        if admitted is None or not admitted.standing.sends:
            return NOT_AUTHORISED, None
        here = answers_at(self._settings.sources, admitted.calling_ae) is None
        status, request = take_request(self._database, admitted.calling_ae, event, reserve_s=RESERVED_S if here else 0.0)
        if here and request is not None:
            event.assoc.afterwards(lambda: self._answer(event.assoc, request))
        return status, None

    def _answer(self, association: Any, request: int) -> None:
        log = structlog.get_logger()
        try:
            asked = source_requests.get(self._database, request)
            if asked is None:
                return
            safe = look_up(self._database, self._blobs, asked)
            why = tell(association, asked, safe)
            if why:
                source_requests.failed(self._database, asked, why=why)
                log.error("storage commitment is not answered", source=asked.source, reason=why)
            else:
                source_requests.answered(self._database, asked, held=len(safe.held))
                log.info("storage commitment answered", source=asked.source, count=len(safe.held), missing=len(safe.failed))
        except NodeError as error:
            log.error("storage commitment is not answered", error=str(error))

    def reported(self, event: Any) -> tuple[int, None]:
        """N-EVENT-REPORT of a destination that was asked."""
        admitted = self._leases.of(id(event.assoc))
        if admitted is None or not admitted.standing.reports:
            return NOT_AUTHORISED, None
        return take_report(self._database, self._settings.delivery, self.reporters.names(admitted.calling_ae), event)
