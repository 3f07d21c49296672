"""Sends storage commitment reports (N-EVENT-REPORT) to the sources that requested them; a loop of the role ``send``."""

import threading
from collections.abc import Sequence

import structlog
from pynetdicom import build_role
from pynetdicom.association import Association

from core.errors import NodeError, StoreUnavailable, raised_at
from core.settings.peers.sources import PeerAddress, Source
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.commitment import source_requests
from db.commitment.source_requests import SourceRequest
from db.engine import Database
from db.roles.supervised_loop import SupervisedLoop
from db.roles.wake_up import WakeUp
from dicom_node.commitment.datasets import PUSH_MODEL, PUSH_MODEL_INSTANCE, encode_report
from dicom_node.commitment.instance_check import InstanceCheck, check_instances
from dicom_node.requestor import NoAssociation, request_association, requestor
from dicom_node.retry_delay import retry_delay_s
from dicom_node.statuses import SUCCESS

POLL_INTERVAL_S = 0.5


def report_address(sources: Sequence[Source], ae_title: str) -> PeerAddress | None:
    """Return where a source with this AE title accepts reports; None where that is only on the association of its request."""
    return next((source.report_address for source in sources if source.ae_title == ae_title and source.report_address is not None), None)


def send_report(association: Association, request: SourceRequest, checked: InstanceCheck) -> str:
    """Send the report on an association. Returns "" where the source accepted it, else the problem."""
    information, event_type = encode_report(request.transaction_uid, checked.held, checked.failed)
    try:
        response, _ = association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except (RuntimeError, ValueError, OSError) as error:
        return f"N-EVENT-REPORT could not be sent: {type(error).__name__}"
    if "Status" not in response:
        return "no answer to N-EVENT-REPORT"
    status = int(response.Status)
    return "" if status == SUCCESS else f"N-EVENT-REPORT answered 0x{status:04X}"


class CommitmentReporter:
    """Sends each report on an association of its own, until the source accepts it or the attempts are used up.

    An unforeseen error counts as an attempt: the report would else be sent again without end.
    """

    def __init__(self, settings: Settings, database: Database, blobs: Blobs, stop: threading.Event, wake_up: WakeUp) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self.loop = SupervisedLoop("commitment-reports", self._report_next, stop, wait=wake_up.subscribe())

    def _report_next(self) -> float:
        request = source_requests.claim_source_request(self._database, lease_s=self._settings.delivery.lease_s)
        if request is None:
            return POLL_INTERVAL_S
        self._report(request)
        return 0.0

    def _report(self, request: SourceRequest) -> None:
        log = structlog.get_logger().bind(source=request.source, attempt=request.attempts)
        address = report_address(self._settings.sources, request.source)
        if address is None:
            self._fail(request, "the association ended before the answer, and the source has neither a `commitment` nor a `query` address")
            return
        if request.attempts > self._settings.delivery.max_attempts:
            self._fail(request, f"{request.attempts - 1} attempts were begun, and the last did not end: see the log of the role send")
            return
        try:
            checked = check_instances(self._database, self._blobs, request)
            problem = self._send(address, request, checked)
        except StoreUnavailable as error:  # says nothing about the request: no attempt is counted, and the loop waits longer each time
            source_requests.retry_answer_later(self._database, request, why=str(error), in_s=0.0, counts=False)
            raise
        except NodeError as error:
            self._retry(request, str(error))
        except Exception as error:  # its text may hold patient data
            log.error("commitment_report_failed_unexpectedly", exception=type(error).__name__, at=raised_at(error))
            self._retry(request, f"failed unexpectedly ({type(error).__name__}); the log of the role send says where")
        else:
            if problem:
                self._retry(request, problem)
                return
            source_requests.record_answered(self._database, request, held=len(checked.held))
            log.info("commitment_report_sent", held=len(checked.held), count=len(request.instances))

    def _retry(self, request: SourceRequest, problem: str) -> None:
        """Send the report again later, or end it where the attempts are used up."""
        rules = self._settings.delivery
        if request.attempts >= rules.max_attempts:
            self._fail(request, f"failed after {request.attempts} attempts: {problem}")
            return
        delay_s = retry_delay_s(request.attempts, rules)
        source_requests.retry_answer_later(self._database, request, why=problem, in_s=delay_s)
        log = structlog.get_logger().bind(source=request.source, attempt=request.attempts)
        log.warning("commitment_report_postponed", reason=problem, seconds=round(delay_s, 1))

    def _fail(self, request: SourceRequest, problem: str) -> None:
        """End a report; a person sees it, and has it sent again or gives it up (`db.commitment.failed_reports`)."""
        source_requests.record_unanswered(self._database, request, why=problem)
        structlog.get_logger().error("commitment_report_failed", source=request.source, attempt=request.attempts, reason=problem)

    def _send(self, address: PeerAddress, request: SourceRequest, checked: InstanceCheck) -> str:
        entity = requestor(self._settings, self._settings.delivery.timeout_s)
        entity.add_requested_context(PUSH_MODEL)
        role = build_role(PUSH_MODEL, scp_role=True)  # PS3.4 J.3.3: the node requests the association, and is the SCP on it
        association = request_association(entity, address, roles=[role])
        if isinstance(association, NoAssociation):
            return association.reason
        try:
            return send_report(association, request, checked)
        finally:
            if association.is_established:
                association.release()
