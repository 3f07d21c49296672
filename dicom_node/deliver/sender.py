"""The role ``send``: takes deliveries that are due to their destinations.

Each destination has a thread of its own, so that one that hangs holds up nobody else. What is claimed together goes
over one association. When to try again lives in PostgreSQL; the object's UID is derived, so sending twice stores the
same object once.
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
from db.engine import Database
from db.notify import Waiter
from db.operations.status import AWAY, node_status
from db.roles import dead_processes
from dicom_node.commitment.report_sender import Answering
from dicom_node.commitment.request_sender import Committing
from dicom_node.deliver.destination_worker import Courier
from dicom_node.notify.alert_monitor import Watching
from dicom_node.notify.webhook import Telling
from dicom_node.role import Backoff, Beating, role_name

WAIT_S = 0.5
REAP_EVERY_S = 5.0
UNKNOWN_EVERY_S = 30.0
GIVE_UP_S = 25.0


def run(settings: Settings, database: Database, blobs: Blobs, stop: threading.Event) -> None:
    """Send until ``stop`` is set; the object on its way is finished first."""
    bell = threading.Condition()
    couriers = [Courier(settings, database, blobs, stop, bell, destination) for destination in settings.destinations]
    asking = [Committing(settings, database, stop, bell, one) for one in settings.destinations if one.storage_commitment]
    threads = [*couriers, *asking, Answering(settings, database, blobs, stop, bell), Watching(settings, database, stop)]
    if settings.webhook.url:
        threads.append(Telling(settings, database, stop))
    _disown(database)
    for thread in threads:
        thread.start()
    waiter = Waiter(database, "delivery")
    backoff = Backoff(stop)
    reaped = looked = -UNKNOWN_EVERY_S  # the monotonic clock may start at zero with the machine
    with Beating(database, "send", lambda: _details(couriers)):
        while not stop.is_set():
            try:
                now = time.monotonic()
                if now - reaped > REAP_EVERY_S:
                    delivery_leases.reap(database)
                    reaped = now
                if now - looked > UNKNOWN_EVERY_S:
                    _hold_unknown(settings, database)
                    destination_requests.no_longer_wanted(
                        database, [one.name for one in settings.destinations if not one.storage_commitment]
                    )
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


def _disown(database: Database) -> None:
    """What a killed sender of this host held is due at once. Before the couriers claim: they do it under a name like ours."""
    try:
        if count := dead_processes.disown_deliveries(database, role_name().rpartition(":")[0]):
            structlog.get_logger().warning("leases of a killed sender ended", count=count)
    except NodeError as error:
        structlog.get_logger().warning("leases of a killed sender run out by themselves", error=str(error))


def _details(couriers: list[Courier]) -> dict[str, str]:
    """For the heartbeat: what was stored, and for how long each destination has been away."""
    away = {f"{AWAY}{courier.destination}": f"{courier.outage.seconds:.0f}" for courier in couriers}
    return {"stored": str(sum(courier.stored for courier in couriers))} | away


def _hold_unknown(settings: Settings, database: Database) -> None:
    """Deliveries to a destination that the configuration no longer has are held, with the reason."""
    known = {destination.name for destination in settings.destinations}
    waiting = {name for name, states in node_status(database).deliveries.items() if states.get(DeliveryState.PENDING)}
    gone = tuple(sorted(waiting - known))
    if not gone:
        return
    for delivery in delivery_leases.claim(database, sender=role_name(), lease_s=settings.delivery.lease_s, limit=100, destinations=gone):
        reason = f"no [[destinations]] is named '{delivery.destination}': configure it and retry, or leave it held"
        delivery_leases.hold(database, delivery, reason=reason)
        structlog.get_logger().warning("delivery held", destination=delivery.destination, delivery=delivery.id, reason=reason)
