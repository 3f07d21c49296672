"""The role ``send``: delivers results, requests and reports storage commitment, watches the node and posts to the webhook.

Each destination has a loop of its own. The time of the next attempt is kept in the database. UIDs of results are derived from their input,
so an object that is sent twice is stored once.
"""

import threading
import time

import structlog

from core.errors import NodeError
from core.settings.settings import Settings
from core.states import DeliveryState
from db.blobs.store import Blobs
from db.commitment import destination_requests
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import hold_delivery
from db.engine import Database
from db.notify import ChannelListener
from db.operations.status import UNREACHABLE, node_status
from db.roles import dead_processes
from db.roles.command_runner import CommandRunner
from db.roles.process_name import host_name, process_name
from db.roles.role_heartbeat import RoleHeartbeat
from db.roles.supervised_loop import SupervisedLoop
from db.roles.wake_up import WakeUp
from dicom_node.anchor.anchor_loop import AnchorLoop
from dicom_node.commitment.report_sender import CommitmentReporter
from dicom_node.commitment.request_sender import CommitmentRequester
from dicom_node.deliver.commands import DestinationCommands
from dicom_node.deliver.destination_worker import DestinationWorker
from dicom_node.notify.alert_monitor import AlertMonitor
from dicom_node.notify.webhook import WebhookPoster

POLL_INTERVAL_S = 0.5
REAP_EVERY_S = 5.0
CHECK_DESTINATIONS_EVERY_S = 30.0
STOP_TIMEOUT_S = 25.0


def run(settings: Settings, database: Database, blobs: Blobs, stop: threading.Event) -> None:
    """Send until ``stop`` is set; the object that is being sent is finished first."""
    wake_up = WakeUp(stop)
    workers = [DestinationWorker(settings, database, blobs, stop, wake_up, destination) for destination in settings.destinations]
    loops = [
        *(worker.loop for worker in workers),
        *(CommitmentRequester(settings, database, stop, wake_up, one).loop for one in settings.destinations if one.storage_commitment),
        CommitmentReporter(settings, database, blobs, stop, wake_up).loop,
        AlertMonitor(settings, database, stop).loop,
        AnchorLoop(settings, database, stop).loop,
    ]
    if settings.webhook.url:
        loops.append(WebhookPoster(settings, database, stop).loop)
    _expire_leases_of_dead_senders(database)
    for loop in loops:
        loop.start()
    waiter = ChannelListener(database, "delivery")

    def wait(seconds: float) -> None:
        waiter.wait(seconds)
        wake_up.wake_all()

    commands = CommandRunner("send", database, DestinationCommands(settings, database).handlers(), stop)
    with commands, RoleHeartbeat(database, "send", lambda: _details(workers)):
        SupervisedLoop("send", DeliveryUpkeep(settings, database).run_due, stop, wait=wait).run()
        wake_up.wake_all()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for loop in loops:
            loop.join(max(0.1, deadline - time.monotonic()))
    waiter.close()


class DeliveryUpkeep:
    """Regular work on all deliveries: expired leases, and destinations that were removed from the configuration."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._reaped = self._checked = -CHECK_DESTINATIONS_EVERY_S  # the monotonic clock may start at zero with the machine

    def run_due(self) -> float:
        """Do what is due. Returns the seconds until the next call.

        Raises
        ------
        StorageError
            The database is unavailable.
        """
        now = time.monotonic()
        if now - self._reaped > REAP_EVERY_S:
            delivery_leases.reap_deliveries(self._database)
            self._reaped = now
        if now - self._checked > CHECK_DESTINATIONS_EVERY_S:
            self._hold_deliveries_without_destination()
            uncommitted = [one.name for one in self._settings.destinations if not one.storage_commitment]
            destination_requests.stop_requesting(self._database, uncommitted)
            self._checked = now
        return POLL_INTERVAL_S

    def _hold_deliveries_without_destination(self) -> None:
        """Hold deliveries to a destination that is no longer configured, with the reason."""
        configured = {destination.name for destination in self._settings.destinations}
        if count := destination_requests.hold_without_destination(self._database, sorted(configured)):
            structlog.get_logger().warning("deliveries_held", count=count, reason="not committed, and their destination is not configured")
        pending = {name for name, states in node_status(self._database).deliveries.items() if states.get(DeliveryState.PENDING)}
        missing = tuple(sorted(pending - configured))
        if not missing:
            return
        lease_s = self._settings.delivery.lease_s
        for delivery in delivery_leases.claim_deliveries(
            self._database, sender=process_name(), lease_s=lease_s, limit=100, destinations=missing
        ):
            reason = f"no [[destinations]] is named '{delivery.destination}': configure it and retry, or give it up"
            hold_delivery(self._database, delivery, reason=reason)
            structlog.get_logger().warning("delivery_held", destination=delivery.destination, delivery=delivery.id, reason=reason)


def _expire_leases_of_dead_senders(database: Database) -> None:
    """Make the deliveries of a killed sender of this host due at once. Before this process claims any, under a name of the same host."""
    log = structlog.get_logger()
    try:
        if count := dead_processes.expire_dead_delivery_leases(database, host_name()):
            log.warning("leases_of_dead_sender_expired", count=count)
    except NodeError as error:
        log.warning("leases_of_dead_sender_not_expired", error=str(error), hint="they expire by themselves")


def _details(workers: list[DestinationWorker]) -> dict[str, str]:
    """What the heartbeat says: how many objects were stored, and how long each destination has been unavailable."""
    outages = {f"{UNREACHABLE}{worker.destination}": f"{worker.outage.seconds:.0f}" for worker in workers}
    return {"stored": str(sum(worker.stored for worker in workers))} | outages
