"""Handlers of the events of storage commitment on associations that the node has accepted."""

from typing import Any

import structlog

from core.errors import NodeError
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.commitment import source_requests
from db.engine import Database
from dicom_node.commitment.instance_check import check_instances
from dicom_node.commitment.report_receiver import receive_report
from dicom_node.commitment.report_sender import report_address, send_report
from dicom_node.commitment.reporting_destinations import ReportingDestinations
from dicom_node.commitment.request_receiver import receive_request
from dicom_node.receive.leases import AssociationLeases
from dicom_node.statuses import NOT_AUTHORISED

RESERVED_S = 120.0  # the report on the association of the request is sent within this time, or not at all


class CommitmentHandlers:
    """The handlers of one listener process."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs, leases: AssociationLeases) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._leases = leases
        self.reporters = ReportingDestinations(settings)

    def apply(self, settings: Settings) -> None:
        """Use these settings from now on."""
        self._settings = settings
        self.reporters.apply(settings)

    def answer_request(self, event: Any) -> tuple[int, None]:
        """N-ACTION of a source: store the request.

        The report is sent by the role ``send``; on this association where the source has no address for reports.
        """
        admitted = self._leases.find(id(event.assoc))
        if admitted is None or not admitted.rights.may_store:
            return NOT_AUTHORISED, None
        report_here = report_address(self._settings.sources, admitted.calling_ae) is None
        status, request = receive_request(self._database, admitted.calling_ae, event, reserve_s=RESERVED_S if report_here else 0.0)
        if report_here and request is not None:
            event.assoc.run_after_response(lambda: self._report(event.assoc, request))
        return status, None

    def _report(self, association: Any, request_id: int) -> None:
        log = structlog.get_logger()
        try:
            request = source_requests.get_source_request(self._database, request_id)
            if request is None:
                return
            checked = check_instances(self._database, self._blobs, request)
            if problem := send_report(association, request, checked):
                source_requests.record_unanswered(self._database, request, why=problem)
                log.error("commitment_report_failed", source=request.source, reason=problem)
            else:
                source_requests.record_answered(self._database, request, held=len(checked.held))
                log.info("commitment_report_sent", source=request.source, held=len(checked.held), count=len(request.instances))
        except NodeError as error:
            log.error("commitment_report_failed", error=str(error))

    def answer_report(self, event: Any) -> tuple[int, None]:
        """N-EVENT-REPORT of a destination, on an association that it has requested."""
        admitted = self._leases.find(id(event.assoc))
        if admitted is None or not admitted.rights.may_report:
            return NOT_AUTHORISED, None
        return receive_report(self._database, self._settings.delivery, self.reporters.names(admitted.calling_ae), event)
