"""Records in the database what became of a delivery: stored, held, failed, or to be sent again."""

import threading

import structlog

from core.errors import LeaseLost
from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from db.deliveries.delivery_leases import ClaimedDelivery
from db.deliveries.delivery_results import fail_delivery, hold_delivery, record_stored, retry_delivery_later, return_unsent
from db.engine import Database
from dicom_node.deliver.transport_types import SendResult
from dicom_node.retry_delay import retry_delay_s
from dicom_node.statuses import SendOutcome


class DeliverySettlement:
    """Settles the deliveries of one destination. A delivery whose lease is lost is left to its new owner."""

    def __init__(self, settings: Settings, database: Database, destination: Destination, stop: threading.Event) -> None:
        self._rules = settings.delivery
        self._database = database
        self._destination = destination
        self._stop = stop
        self._log = structlog.get_logger().bind(destination=destination.name)

    def settle(self, delivery: ClaimedDelivery, result: SendResult, *, send_s: float, dwell_s: float) -> bool:
        """Record the result of one attempt. Returns False where the lease was lost, and nothing recorded.

        Parameters
        ----------
        send_s
            How long sending took.
        dwell_s
            Time since the result object was committed.
        """
        log = self._log.bind(delivery=delivery.id, job=delivery.job_id, kind=delivery.kind, attempt=delivery.attempt)
        log = log.bind(status_hex=None if result.status is None else f"{result.status:04X}")
        exhausted = delivery.attempt >= self._rules.max_attempts
        try:
            if result.outcome is SendOutcome.STORED:
                note = "" if result.status == 0 else result.reason
                commit = self._destination.storage_commitment
                record_stored(self._database, delivery, status=result.status or 0, note=note, commit=commit)
                log.info("delivered", seconds=round(send_s, 3), age_s=round(dwell_s, 3), reason=note)
            elif result.outcome is SendOutcome.HELD:
                hold_delivery(self._database, delivery, reason=result.note, status=result.status)
                log.error("delivery_held", reason=result.reason)
            elif result.outcome is SendOutcome.PERMANENT or exhausted:
                attempts = "" if result.outcome is SendOutcome.PERMANENT else f"failed after {delivery.attempt} attempts: "
                fail_delivery(self._database, delivery, error=attempts + result.note, status=result.status)
                log.error("delivery_failed", reason=attempts + result.reason)
            else:
                delay_s = 0.0 if self._stop.is_set() else retry_delay_s(delivery.attempt, self._rules)
                retry_delivery_later(self._database, delivery, error=result.note, in_s=delay_s)
                log.warning("delivery_postponed", reason=result.reason, seconds=round(delay_s, 1))
        except LeaseLost as error:
            log.warning("delivery_lease_lost", error=str(error))
            return False
        return True

    def put_back(self, delivery: ClaimedDelivery, reason: str) -> None:
        """Return a delivery that was not sent; no attempt is counted."""
        try:
            return_unsent(self._database, delivery, why=reason)
            self._log.debug("delivery_put_back", delivery=delivery.id, job=delivery.job_id, kind=delivery.kind, reason=reason)
        except LeaseLost as error:
            self._log.warning("delivery_lease_lost", delivery=delivery.id, error=str(error))
