"""Sends storage commitment requests (N-ACTION) to each destination with ``storage_commitment``; loops of the role ``send``."""

import threading
import time
from dataclasses import dataclass

import structlog
from pynetdicom import evt
from pynetdicom.association import Association

from core.failpoints import failpoint
from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from db.commitment import destination_requests
from db.commitment.destination_requests import CommitmentRequest
from db.engine import Database
from db.roles.supervised_loop import SupervisedLoop
from db.roles.wake_up import WakeUp
from dicom_node.commitment.datasets import DUPLICATE_TRANSACTION, PUSH_MODEL, PUSH_MODEL_INSTANCE, REQUEST_ACTION, encode_request
from dicom_node.commitment.report_receiver import receive_report
from dicom_node.requestor import NoAssociation, dimse_address, request_association, requestor
from dicom_node.retry_delay import retry_delay_s

POLL_INTERVAL_S = 0.5
STOP_CHECK_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class RequestResult:
    """How an N-ACTION ended. ``problem``: "" where the destination accepted it. ``unreachable``: the destination did not respond."""

    problem: str = ""
    unreachable: bool = False


class CommitmentRequester:
    """Sends the requests of one destination, one at a time."""

    def __init__(self, settings: Settings, database: Database, stop: threading.Event, wake_up: WakeUp, destination: Destination) -> None:
        self._settings = settings
        self._database = database
        self._stop = stop
        self._destination = destination
        self._failures = 0
        self._log = structlog.get_logger().bind(destination=destination.name)
        self.loop = SupervisedLoop(f"commitment-requests-{destination.name}", self._request_next, stop, wait=wake_up.subscribe())

    def _request_next(self) -> float:
        """Send one request, if one is due."""
        rules = self._settings.delivery
        destination_requests.create_request(self._database, self._destination.name)
        request = destination_requests.claim_request(
            self._database, self._destination.name, lease_s=rules.lease_s, max_attempts=rules.max_attempts
        )
        if request is None:
            return POLL_INTERVAL_S
        result = self._send(request)
        if not result.problem:
            self._failures = 0
            return 0.0
        self._failures += 1
        delay_s = retry_delay_s(self._failures, rules)
        if result.unreachable:
            delay_s = min(delay_s, rules.probe_cap_s)
        destination_requests.retry_request_later(self._database, request, why=result.problem, in_s=delay_s, counts=not result.unreachable)
        self._log.warning("commitment_request_postponed", reason=result.problem, seconds=round(delay_s, 1))
        return 0.0

    def _send(self, request: CommitmentRequest) -> RequestResult:
        rules = self._settings.delivery
        received, answered = threading.Event(), threading.Event()

        def on_report(event: object) -> tuple[int, None]:
            answer = receive_report(self._database, rules, (self._destination.name,), event)
            received.set()
            return answer

        def on_pdu_sent(_event: object) -> None:
            if received.is_set():  # the first PDU after the report is its answer
                answered.set()

        entity = requestor(self._settings, rules.timeout_s)
        entity.add_requested_context(PUSH_MODEL)
        handlers = [(evt.EVT_N_EVENT_REPORT, on_report), (evt.EVT_PDU_SENT, on_pdu_sent)]
        association = request_association(entity, dimse_address(self._destination), handlers=handlers)
        if isinstance(association, NoAssociation):
            if association.permanent:
                return RequestResult("the destination does not offer storage commitment to us")
            return RequestResult(association.reason, unreachable=True)
        try:
            result = _send_action(association, request)
            if not result.problem:
                failpoint("commit.asked")
                destination_requests.record_requested(self._database, request, answer_s=rules.commitment_answer_s)
                self._log.info("commitment_requested", count=len(request.instances), attempt=request.attempts)
                self._wait_for_report(association, answered)
            return result
        finally:
            if association.is_established:
                association.release()

    def _wait_for_report(self, association: Association, answered: threading.Event) -> None:
        """Keep the association open until a report is answered: many peers report on it at once. Others open one of their own, later."""
        deadline = time.monotonic() + self._settings.delivery.commitment_linger_s
        while association.is_established and not self._stop.is_set() and time.monotonic() < deadline:
            if answered.wait(STOP_CHECK_INTERVAL_S):
                return


def _send_action(association: Association, request: CommitmentRequest) -> RequestResult:
    try:
        information = encode_request(request.transaction_uid, request.instances)
        response, _ = association.send_n_action(information, REQUEST_ACTION, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except (RuntimeError, ValueError, OSError) as error:
        return RequestResult(f"N-ACTION could not be sent: {type(error).__name__}")
    if "Status" not in response:
        if association.is_established:
            association.abort()
        return RequestResult("no answer to N-ACTION", unreachable=True)
    status = int(response.Status)
    # Success, or a warning. A duplicate transaction: the destination has this request from before this process was restarted.
    if status in (0x0000, 0x0107, 0x0116, DUPLICATE_TRANSACTION):
        return RequestResult()
    return RequestResult(f"N-ACTION answered 0x{status:04X}")
