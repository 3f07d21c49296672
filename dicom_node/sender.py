"""The role ``send``: takes deliveries that are due to their destinations.

Each destination has a thread of its own, so that one that hangs holds up nobody else. What is claimed together goes
over one association. When to try again lives in PostgreSQL; the object's UID is derived, so sending twice stores the
same object once.
"""

import threading
import time

import structlog

from core.errors import CannotUnderstand, LeaseLost, NodeError, StorageError
from core.peers import Destination
from core.settings import Settings
from core.states import DeliveryState
from db import commitments, deliveries
from db.base import Database
from db.blobs import Blobs
from db.records import ClaimedDelivery
from db.signals import Waiter
from db.status import node_status
from dicom_node.commitment.answering import Answering
from dicom_node.commitment.asking import Committing
from dicom_node.role import Backoff, Beating, retry_in_s, role_name
from dicom_node.statuses import Verdict
from dicom_node.transports import Parcel, Receipt, open_transport

AT_ONCE = 8  # objects of one claim: few enough that a lease covers them
WAIT_S = 0.5
REAP_EVERY_S = 5.0
UNKNOWN_EVERY_S = 30.0
GIVE_UP_S = 25.0


def run(settings: Settings, database: Database, blobs: Blobs, stop: threading.Event) -> None:
    """Send until ``stop`` is set; the object on its way is finished first."""
    bell = threading.Condition()
    couriers = [Courier(settings, database, blobs, stop, bell, destination) for destination in settings.destinations]
    asking = [Committing(settings, database, stop, bell, one) for one in settings.destinations if one.storage_commitment]
    threads = [*couriers, *asking, Answering(settings, database, blobs, stop, bell)]
    for thread in threads:
        thread.start()
    waiter = Waiter(database, "delivery")
    backoff = Backoff(stop)
    reaped = looked = -UNKNOWN_EVERY_S  # the monotonic clock may start at zero with the machine
    with Beating(database, "send", lambda: {"stored": str(sum(courier.stored for courier in couriers))}):
        while not stop.is_set():
            try:
                now = time.monotonic()
                if now - reaped > REAP_EVERY_S:
                    deliveries.reap(database)
                    reaped = now
                if now - looked > UNKNOWN_EVERY_S:
                    _hold_unknown(settings, database)
                    commitments.no_longer_wanted(database, [one.name for one in settings.destinations if not one.storage_commitment])
                    looked = now
                backoff.worked()
            except NodeError as error:
                backoff.failed("the sender waits", error)
                continue
            waiter.wait(WAIT_S)
            with bell:
                bell.notify_all()
        with bell:
            bell.notify_all()
        deadline = time.monotonic() + GIVE_UP_S
        for thread in threads:
            thread.join(max(0.1, deadline - time.monotonic()))
    waiter.close()


def _hold_unknown(settings: Settings, database: Database) -> None:
    """Deliveries to a destination that the configuration no longer has are held, with the reason."""
    known = {destination.name for destination in settings.destinations}
    waiting = {name for name, states in node_status(database).deliveries.items() if states.get(DeliveryState.PENDING)}
    gone = tuple(sorted(waiting - known))
    if not gone:
        return
    for delivery in deliveries.claim(database, sender=role_name(), lease_s=settings.delivery.lease_s, limit=100, destinations=gone):
        reason = f"no [[destinations]] is named '{delivery.destination}': configure it and retry, or leave it held"
        deliveries.hold(database, delivery, reason=reason)
        structlog.get_logger().warning("delivery held", destination=delivery.destination, delivery=delivery.id, reason=reason)


class Courier(threading.Thread):
    """Everything for one destination, one association at a time."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        blobs: Blobs,
        stop: threading.Event,
        bell: threading.Condition,
        destination: Destination,
    ) -> None:
        super().__init__(name=f"send-{destination.name}", daemon=True)
        self.stored = 0
        self._claimed_at = 0.0
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._stop_event = stop
        self._bell = bell
        self._destination = destination
        self._log = structlog.get_logger().bind(destination=destination.name)

    def run(self) -> None:
        backoff = Backoff(self._stop_event)
        while not self._stop_event.is_set():
            claimed: list[ClaimedDelivery] = []
            self._claimed_at = time.monotonic()
            try:
                claimed = deliveries.claim(
                    self._database,
                    sender=role_name(),
                    lease_s=self._settings.delivery.lease_s,
                    limit=AT_ONCE,
                    destinations=(self._destination.name,),
                )
                if claimed:
                    self._carry(claimed)
                backoff.worked()
            except NodeError as error:
                backoff.failed("deliveries wait", error)
                continue
            except Exception as error:  # one object must not end the courier; its lease runs out and it is tried again
                self._log.error("deliveries wait: unexpected", exception=type(error).__name__, exc_info=True)
                self._stop_event.wait(WAIT_S)
            if not claimed:
                with self._bell:
                    if not self._stop_event.is_set():
                        self._bell.wait(WAIT_S)

    def _carry(self, claimed: list[ClaimedDelivery]) -> None:
        parcels = self._load(claimed)
        if not parcels:
            return
        broken: Receipt | None = None
        try:
            transport = open_transport(self._settings, self._destination, [parcel for _, parcel in parcels])
        except CannotUnderstand as error:
            for delivery, _ in parcels:
                self._settle(delivery, Receipt(Verdict.PERMANENT, f"the object cannot be read: {error}"), 0.0)
            return
        with transport:
            for delivery, parcel in parcels:
                started = time.monotonic()
                if broken is None and self._stop_event.is_set():
                    broken = Receipt(Verdict.TRANSIENT, "the node is shutting down", broken=True)
                receipt = broken or transport.send(parcel)
                if receipt.broken:
                    broken = receipt
                self._settle(delivery, receipt, time.monotonic() - started)

    def _load(self, claimed: list[ClaimedDelivery]) -> list[tuple[ClaimedDelivery, Parcel]]:
        parcels = []
        for delivery in claimed:
            if delivery.research and not self._destination.accept_research:
                # The last gate: also what a route or a change of the configuration added after the worker had looked.
                reason = f"the model is for research, and accept_research is false for '{self._destination.name}'"
                deliveries.hold(self._database, delivery, reason=reason)
                continue
            try:
                content = self._blobs.read(delivery.sha256)
            except StorageError as error:
                self._settle(delivery, Receipt(Verdict.TRANSIENT, f"the object cannot be read: {error}"), 0.0)
                continue
            parcels.append((delivery, Parcel(delivery.sop_class_uid, delivery.sop_instance_uid, content)))
        return parcels

    def _settle(self, delivery: ClaimedDelivery, receipt: Receipt, seconds: float) -> None:
        log = self._log.bind(delivery=delivery.id, job=delivery.job_id, kind=delivery.kind, attempt=delivery.attempt)
        status = None if receipt.status is None else f"{receipt.status:04X}"
        try:
            if receipt.verdict is Verdict.STORED:
                note = "" if receipt.status == 0 else receipt.words
                commit = self._destination.storage_commitment
                deliveries.stored(self._database, delivery, status=receipt.status or 0, note=note, commit=commit)
                self.stored += 1
                dwell_s = delivery.age_s + time.monotonic() - self._claimed_at  # since the report was committed
                log.info("delivered", status_hex=status, seconds=round(seconds, 3), age_s=round(dwell_s, 3), reason=note)
            elif receipt.verdict is Verdict.HELD:
                deliveries.hold(self._database, delivery, reason=receipt.words, status=receipt.status)
                log.error("delivery held", status_hex=status, reason=receipt.words)
            elif receipt.verdict is Verdict.PERMANENT or delivery.attempt >= self._settings.delivery.max_attempts:
                words = (
                    receipt.words
                    if receipt.verdict is Verdict.PERMANENT
                    else f"given up after {delivery.attempt} attempts: {receipt.words}"
                )
                deliveries.failed(self._database, delivery, error=words, status=receipt.status)
                log.error("delivery failed", status_hex=status, reason=words)
            else:
                in_s = 0.0 if self._stop_event.is_set() else retry_in_s(delivery.attempt, self._settings.delivery)
                deliveries.retry_later(self._database, delivery, error=receipt.words, in_s=in_s)
                log.warning("delivery waits", status_hex=status, reason=receipt.words, seconds=round(in_s, 1))
        except LeaseLost as error:
            log.warning("the delivery has gone to another sender or was withdrawn", error=str(error))
