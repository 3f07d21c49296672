"""The deliveries of one destination: claimed, carried together, settled one by one."""

import threading
import time

import structlog

from core.errors import CannotUnderstand, LeaseLost, NodeError, StorageError
from core.failpoints import step
from core.settings.destinations import Destination
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.deliveries import delivery_leases
from db.engine import Database
from db.records import ClaimedDelivery
from dicom_node.deliver.outage import Outage
from dicom_node.deliver.transports import Parcel, Receipt, open_transport
from dicom_node.role import Backoff, retry_in_s, role_name
from dicom_node.statuses import Verdict

AT_ONCE = 8  # objects of one claim, and of one association
WAIT_S = 0.5


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
        self._claimed_at = self._renewed_at = 0.0
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._stop_event = stop
        self._bell = bell
        self._destination = destination
        self.outage = Outage(settings, database, destination)
        self._log = structlog.get_logger().bind(destination=destination.name)

    @property
    def destination(self) -> str:
        return self._destination.name

    def run(self) -> None:
        backoff = Backoff(self._stop_event)
        while not self._stop_event.is_set():
            claimed: list[ClaimedDelivery] = []
            self._claimed_at = self._renewed_at = time.monotonic()
            try:
                if self.outage.away and not self.outage.over():
                    self._stop_event.wait(WAIT_S)
                    continue
                claimed = delivery_leases.claim(
                    self._database,
                    sender=role_name(),
                    lease_s=self._settings.delivery.lease_s,
                    limit=AT_ONCE,
                    destinations=(self._destination.name,),
                )
                if claimed:
                    step("send.claimed")
                self._carry(self._load(claimed))
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

    def _carry(self, parcels: list[tuple[ClaimedDelivery, Parcel]]) -> None:
        if not parcels:
            return
        broken: Receipt | None = None
        try:
            transport = open_transport(self._settings, self._destination, [parcel for _, parcel in parcels])
        except CannotUnderstand as error:
            if len(parcels) > 1:  # one of them: each by itself
                for one in parcels:
                    self._carry([one])
                return
            self._settle(parcels[0][0], Receipt(Verdict.PERMANENT, f"the object cannot be read: {error}"), 0.0)
            return
        with transport:
            step("send.connected")
            for number, (delivery, parcel) in enumerate(parcels):
                started = time.monotonic()
                self._keep([held for held, _ in parcels[number:]])
                if broken is None and self._stop_event.is_set():
                    broken = Receipt(Verdict.TRANSIENT, "the node is shutting down", broken=True)
                if broken is not None:
                    self._put_back(delivery, broken.words)
                    continue
                receipt = transport.send(parcel)
                if receipt.broken:
                    broken = receipt
                    self.outage.begin(receipt.words, gone=receipt.away)
                if receipt.away:
                    self._put_back(delivery, receipt.words)
                else:
                    step("send.taken")
                    self._settle(delivery, receipt, time.monotonic() - started)
                    step("send.settled")

    def _keep(self, held: list[ClaimedDelivery]) -> None:
        """Renew what is still to be sent once a third of the lease is gone: slow objects must not cost those behind them theirs."""
        if time.monotonic() - self._renewed_at > self._settings.delivery.lease_s / 3:
            delivery_leases.renew(self._database, held, self._settings.delivery.lease_s)
            self._renewed_at = time.monotonic()

    def _put_back(self, delivery: ClaimedDelivery, why: str) -> None:
        """It was not tried: no attempt is counted."""
        try:
            delivery_leases.put_back(self._database, delivery, why=why)
        except LeaseLost as error:
            self._log.warning("the delivery has gone to another sender or was withdrawn", delivery=delivery.id, error=str(error))

    def _load(self, claimed: list[ClaimedDelivery]) -> list[tuple[ClaimedDelivery, Parcel]]:
        parcels = []
        for delivery in claimed:
            if delivery.research and not self._destination.accept_research:
                # The last gate: also what a route or a change of the configuration added after the worker had looked.
                reason = f"the model is for research, and accept_research is false for '{self._destination.name}'"
                delivery_leases.hold(self._database, delivery, reason=reason)
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
                delivery_leases.stored(self._database, delivery, status=receipt.status or 0, note=note, commit=commit)
                self.stored += 1
                self.outage.took_something()
                dwell_s = delivery.age_s + time.monotonic() - self._claimed_at  # since the report was committed
                log.info("delivered", status_hex=status, seconds=round(seconds, 3), age_s=round(dwell_s, 3), reason=note)
            elif receipt.verdict is Verdict.HELD:
                delivery_leases.hold(self._database, delivery, reason=receipt.note, status=receipt.status)
                log.error("delivery held", status_hex=status, reason=receipt.words)
            elif receipt.verdict is Verdict.PERMANENT or delivery.attempt >= self._settings.delivery.max_attempts:
                tried = "" if receipt.verdict is Verdict.PERMANENT else f"given up after {delivery.attempt} attempts: "
                delivery_leases.failed(self._database, delivery, error=tried + receipt.note, status=receipt.status)
                log.error("delivery failed", status_hex=status, reason=tried + receipt.words)
            else:
                in_s = 0.0 if self._stop_event.is_set() else retry_in_s(delivery.attempt, self._settings.delivery)
                delivery_leases.retry_later(self._database, delivery, error=receipt.note, in_s=in_s)
                log.warning("delivery waits", status_hex=status, reason=receipt.words, seconds=round(in_s, 1))
        except LeaseLost as error:
            log.warning("the delivery has gone to another sender or was withdrawn", error=str(error))
