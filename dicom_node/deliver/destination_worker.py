"""Sends the deliveries of one destination: claims them, sends them over one connection, and settles each of them."""

import threading
import time

import structlog

from core.errors import CannotUnderstand, StorageError, StoreUnavailable, raised_at
from core.failpoints import failpoint
from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.deliveries import delivery_leases
from db.deliveries.delivery_leases import ClaimedDelivery
from db.deliveries.delivery_results import hold_delivery
from db.engine import Database
from db.roles.process_name import process_name
from db.roles.supervised_loop import SupervisedLoop
from db.roles.wake_up import WakeUp
from dicom_node.deliver.lease_renewal import LeaseRenewal
from dicom_node.deliver.outage import DestinationOutage
from dicom_node.deliver.settlement import DeliverySettlement
from dicom_node.deliver.transport_types import OutgoingObject, SendResult, Transport
from dicom_node.deliver.transports import open_transport
from dicom_node.statuses import SendOutcome

BATCH = 8  # deliveries of one claim, sent over one connection
BATCH_BYTES = 128 << 20  # of their objects, which are in memory together, and for each destination; a larger object is sent alone
POLL_INTERVAL_S = 0.5


class DestinationWorker:
    """Delivers to one destination in a thread of its own (``loop``), so that a destination that hangs does not delay the others.

    Attributes
    ----------
    stored
        How many objects this process has stored at the destination.
    """

    def __init__(
        self, settings: Settings, database: Database, blobs: Blobs, stop: threading.Event, wake_up: WakeUp, destination: Destination
    ) -> None:
        self.stored = 0
        self._claimed_at = 0.0
        self._settings = settings
        # It is renewed while the sender lives. Twice the time-out is left for a database that does not respond meanwhile.
        self._lease_s = max(settings.delivery.lease_s, 2 * settings.delivery.timeout_s)
        self._database = database
        self._blobs = blobs
        self._stop = stop
        self._destination = destination
        self._settlement = DeliverySettlement(settings, database, destination, stop)
        self.outage = DestinationOutage(settings, database, destination)
        self.loop = SupervisedLoop(f"send-{destination.name}", self._deliver_batch, stop, wait=wake_up.subscribe())

    @property
    def destination(self) -> str:
        """The name of the destination."""
        return self._destination.name

    def _deliver_batch(self) -> float:
        """Claim what is due, and send it. Returns the seconds until the next call."""
        self._claimed_at = time.monotonic()
        if self.outage.active and not self.outage.probe():
            return POLL_INTERVAL_S
        claimed = delivery_leases.claim_deliveries(
            self._database,
            sender=process_name(),
            lease_s=self._lease_s,
            limit=BATCH,
            max_bytes=BATCH_BYTES,
            destinations=(self._destination.name,),
        )
        if not claimed:
            return POLL_INTERVAL_S
        structlog.get_logger().debug("deliveries_claimed", destination=self._destination.name, count=len(claimed))
        failpoint("send.claimed")
        with LeaseRenewal(self._database, claimed, self._lease_s):
            self._send(self._load(claimed))
        return 0.0

    def _load(self, claimed: list[ClaimedDelivery]) -> list[tuple[ClaimedDelivery, OutgoingObject]]:
        """Read the objects. What may not be sent, or cannot be read, is settled here.

        Raises
        ------
        StoreUnavailable
            The blobs are on another machine, which does not answer; the deliveries are put back.
        """
        batch: list[tuple[ClaimedDelivery, OutgoingObject]] = []
        for position, delivery in enumerate(claimed):
            if delivery.research and not self._destination.accept_research:
                # Checked again here: a route or the configuration may have changed since the worker checked it.
                reason = f"the model is for research, and accept_research is false for '{self._destination.name}'"
                hold_delivery(self._database, delivery, reason=reason)
                continue
            try:
                content = self._blobs.read(delivery.sha256)
            except StoreUnavailable as error:  # says nothing about the object: no attempt is counted, and the loop waits longer each time
                for waiting in (*(loaded for loaded, _ in batch), *claimed[position:]):
                    self._settlement.put_back(waiting, f"the object cannot be read: {error}")
                raise
            except StorageError as error:
                self._settle(delivery, SendResult(SendOutcome.TRANSIENT, f"the object cannot be read: {error}"))
                continue
            batch.append((delivery, OutgoingObject(delivery.sop_class_uid, delivery.sop_instance_uid, content)))
        return batch

    def _send(self, batch: list[tuple[ClaimedDelivery, OutgoingObject]]) -> None:
        if not batch:
            return
        try:
            transport = open_transport(self._settings, self._destination, [outgoing for _, outgoing in batch])
        except CannotUnderstand as error:
            if len(batch) > 1:  # one of them is unreadable: send each by itself
                for delivery_and_object in batch:
                    self._send([delivery_and_object])
                return
            self._settle(batch[0][0], SendResult(SendOutcome.PERMANENT, f"the object cannot be read: {error}"))
            return
        not_sent = ""  # why the rest of the batch is put back
        with transport:
            failpoint("send.connected")
            for delivery, outgoing in batch:
                started = time.monotonic()
                if not not_sent and self._stop.is_set():
                    not_sent = "the node is shutting down"
                if not_sent:
                    self._settlement.put_back(delivery, not_sent)
                    continue
                result = self._attempt(transport, outgoing)
                self._log_attempt(delivery, len(outgoing.content), result, time.monotonic() - started)
                if result.connection_lost:
                    not_sent = result.reason
                    self.outage.begin(result.reason, unreachable=result.unreachable)
                if result.unreachable:
                    self._settlement.put_back(delivery, result.reason)
                else:
                    failpoint("send.taken")
                    self._settle(delivery, result, time.monotonic() - started)
                    failpoint("send.settled")

    def _log_attempt(self, delivery: ClaimedDelivery, size_bytes: int, result: SendResult, seconds: float) -> None:
        structlog.get_logger().debug(
            "object_sent" if not result.unreachable else "object_not_sent",
            destination=self._destination.name,
            delivery=delivery.id,
            job=delivery.job_id,
            kind=delivery.kind,
            attempt=delivery.attempt,
            bytes=size_bytes,
            outcome=result.outcome.value,
            status_hex=None if result.status is None else f"{result.status:04X}",
            reason=result.reason,
            seconds=round(seconds, 3),
        )

    def _attempt(self, transport: Transport, outgoing: OutgoingObject) -> SendResult:
        """Send one object. An error that no transport foresaw counts as an attempt: its object would else be sent again without end."""
        try:
            return transport.send(outgoing)
        except Exception as error:  # its text may hold patient data
            log = structlog.get_logger().bind(destination=self._destination.name, exception=type(error).__name__)
            log.error("sending_failed_unexpectedly", at=raised_at(error))
            return SendResult(SendOutcome.TRANSIENT, f"sending failed unexpectedly: {type(error).__name__}", connection_lost=True)

    def _settle(self, delivery: ClaimedDelivery, result: SendResult, send_s: float = 0.0) -> None:
        dwell_s = delivery.age_s + time.monotonic() - self._claimed_at
        recorded = self._settlement.settle(delivery, result, send_s=send_s, dwell_s=dwell_s)
        if recorded and result.outcome is SendOutcome.STORED:
            self.stored += 1
            self.outage.record_success()
