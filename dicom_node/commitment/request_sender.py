"""N-ACTION out: each destination with ``storage_commitment`` is asked for what it has stored, in a thread of its own."""

import threading
from dataclasses import dataclass

import structlog
from pynetdicom import evt
from pynetdicom.association import Association

from core.errors import NodeError
from core.failpoints import step
from core.settings.destinations import Destination
from core.settings.settings import Settings
from db.commitment import destination_requests
from db.commitment.destination_requests import Request
from db.engine import Database
from dicom_node.association import NoAssociation, address_of, associate, entity_of
from dicom_node.commitment.datasets import DUPLICATE_TRANSACTION, PUSH_MODEL, PUSH_MODEL_INSTANCE, REQUEST_ACTION, request
from dicom_node.commitment.report_receiver import take_report
from dicom_node.role import Backoff, retry_in_s, wait_until

TURN_S = 0.5


@dataclass(frozen=True, slots=True)
class Asking:
    """How an N-ACTION ended: ``problem`` "" where the destination took it. ``away``: it was not there to be asked."""

    problem: str = ""
    away: bool = False


class Committing(threading.Thread):
    """The requests of one destination."""

    def __init__(
        self, settings: Settings, database: Database, stop: threading.Event, bell: threading.Condition, destination: Destination
    ) -> None:
        super().__init__(name=f"commit-{destination.name}", daemon=True)
        self._settings = settings
        self._database = database
        self._stop_event = stop
        self._bell = bell
        self._destination = destination
        self._failures = 0
        self._log = structlog.get_logger().bind(destination=destination.name)

    def run(self) -> None:
        backoff = Backoff(self._stop_event)
        while not self._stop_event.is_set():
            try:
                worked = self.turn()
                backoff.worked()
            except NodeError as error:
                backoff.failed("storage commitment waits", error)
                continue
            except Exception as error:  # whatever a peer's answer does to a parser: it is asked again
                self._log.error("storage commitment waits: unexpected", exception=type(error).__name__, exc_info=True)
                self._stop_event.wait(TURN_S)
                continue
            if not worked:
                with self._bell:
                    if not self._stop_event.is_set():
                        self._bell.wait(TURN_S)

    def turn(self) -> bool:
        """Send one request, if one is due."""
        rules = self._settings.delivery
        destination_requests.gather(self._database, self._destination.name)
        due = destination_requests.next_request(self._database, self._destination.name, lease_s=rules.lease_s, max_asks=rules.max_attempts)
        if due is None:
            return False
        asking = self._ask(due)
        if not asking.problem:
            self._failures = 0
            return True
        self._failures += 1
        in_s = retry_in_s(self._failures, rules)
        if asking.away:
            in_s = min(in_s, rules.probe_cap_s)
        destination_requests.later(self._database, due, why=asking.problem, in_s=in_s, counts=not asking.away)
        self._log.warning("storage commitment waits", reason=asking.problem, seconds=round(in_s, 1))
        return True

    def _ask(self, due: Request) -> Asking:
        rules = self._settings.delivery
        answered = threading.Event()

        def on_report(event: object) -> tuple[int, None]:
            result = take_report(self._database, rules, (self._destination.name,), event)
            answered.set()
            return result

        entity = entity_of(self._settings, rules.timeout_s)
        entity.add_requested_context(PUSH_MODEL)
        association = associate(entity, address_of(self._destination), handlers=[(evt.EVT_N_EVENT_REPORT, on_report)])
        if isinstance(association, NoAssociation):
            if association.permanent:
                return Asking("the destination does not offer storage commitment to us")
            return Asking(association.words, away=True)
        try:
            asking = _send(association, due)
            if not asking.problem:
                step("commit.asked")
                destination_requests.asked(self._database, due, answer_s=rules.commitment_answer_s)
                self._log.info("asked for storage commitment", count=len(due.instances), attempt=due.asks)
                # Many answer on the same association if it is there; the others open one to us, whenever they are ready.
                wait_until(
                    lambda: answered.is_set() or not association.is_established or self._stop_event.is_set(),
                    rules.commitment_linger_s,
                )
            return asking
        finally:
            if association.is_established:
                association.release()


def _send(association: Association, due: Request) -> Asking:
    try:
        information = request(due.transaction_uid, due.instances)
        response, _ = association.send_n_action(information, REQUEST_ACTION, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except (RuntimeError, ValueError, OSError) as error:
        return Asking(f"N-ACTION could not be sent: {type(error).__name__}")
    if "Status" not in response:
        if association.is_established:
            association.abort()
        return Asking("no answer to N-ACTION", away=True)
    status = int(response.Status)
    if status in (0x0000, 0x0107, 0x0116, DUPLICATE_TRANSACTION):  # a warning; or it has had the request, and we were killed since
        return Asking()
    return Asking(f"N-ACTION answered 0x{status:04X}")
