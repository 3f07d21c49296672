"""The relay role: publishes the outbox to the broker, links the audit chain, makes its coming months, and runs the reaper.

Two relays at once do no harm: a wake-up may be published twice, and linking takes an advisory lock.
"""

import os
import threading
import time

import structlog
from celery import Celery
from kombu.exceptions import ChannelError, OperationalError

from core.failpoints import failpoint
from core.settings.settings import Settings
from db import audit, counters
from db.audit_archive.months import add_months
from db.engine import Database
from db.jobs import outbox
from db.notify import ChannelListener
from db.roles.role_heartbeat import RoleHeartbeat
from workers.queue import reaper
from workers.queue.celery_app import make_publishing_app
from workers.queue.periodic_action import PeriodicAction
from workers.queue.queue_names import TASK

ROLE = "relay"
BATCH = 200
CHAIN_BATCH = 1000
POLL_INTERVAL_S = 1.0
CHAIN_DELAY_S = 0.25  # audit events are collected for this long after the first one, and linked together
BROKER_CHECK_INTERVAL_S = 3.0
FOLD_INTERVAL_S = 2.0
MONTHS_INTERVAL_S = 3600.0
MAX_STOP_DELAY_S = 0.2

log = structlog.get_logger()


def run(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Publish, reap and link until ``stop`` is set; an unreachable broker or database is logged once and tried again."""
    app = make_publishing_app(settings)
    publishing = PeriodicAction("publish", lambda: publish(app, database), 0.0)
    checking = PeriodicAction("broker", lambda: check_broker(app), BROKER_CHECK_INTERVAL_S)
    chaining = PeriodicAction("chain", lambda: link_audit_events(database), 0.0)
    actions = [
        publishing,
        PeriodicAction("reap", lambda: reaper.reap(settings, database, lambda queue: count_messages(app, queue)), reaper.INTERVAL_S),
        chaining,
        checking,
        PeriodicAction("count", lambda: counters.fold_changes(database), FOLD_INTERVAL_S),
        PeriodicAction("months", lambda: add_months(database), MONTHS_INTERVAL_S),
    ]

    def details() -> dict[str, str]:
        problem = {"problem": "the broker is out of reach"} if checking.failing or publishing.failing else {}
        return {"pid": str(os.getpid()), **problem}

    waiter = ChannelListener(database, "outbox", "audit")
    checking.run_if_due()  # the first heartbeat says whether the broker responds
    with RoleHeartbeat(database, ROLE, details):
        try:
            while not stop.is_set():
                for action in actions:
                    action.run_if_due()
                wait_for_work(waiter, stop)
            for action in (publishing, chaining):  # for what was committed just now
                action.run()
        finally:
            waiter.close()
            app.close()  # type: ignore[no-untyped-call]


def wait_for_work(waiter: ChannelListener, stop: threading.Event) -> None:
    """Return when the outbox has a new row, `CHAIN_DELAY_S` after a new audit event, when ``stop`` is set, or after `POLL_INTERVAL_S`."""
    until = time.monotonic() + POLL_INTERVAL_S
    while not stop.is_set() and (left_s := until - time.monotonic()) > 0:
        notified = waiter.wait(min(MAX_STOP_DELAY_S, left_s))
        if "outbox" in notified:
            return
        if notified:
            until = min(until, time.monotonic() + CHAIN_DELAY_S)


def check_broker(app: Celery) -> None:
    """Connect to the broker, so that readiness is known before the first wake-up that cannot be published.

    Raises
    ------
    OperationalError
        The broker does not respond.
    """
    with app.connection_for_write() as connection:  # type: ignore[no-untyped-call]
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0, timeout=5)


def publish(app: Celery, database: Database) -> int:
    """Send the waiting wake-ups to the broker, record that in the database, and return how many were sent.

    A relay that is killed between the two is followed by one that sends them again: a worker that finds no job waits for the next message.

    Raises
    ------
    OperationalError
        The broker does not respond.
    StorageError
        The database does not respond.
    """
    count = 0
    while rows := outbox.pending_wake_ups(database, BATCH):
        failpoint("relay.read")
        with app.producer_pool.acquire(block=True) as producer:
            for row in rows:
                app.send_task(TASK, args=[row.job_id], queue=row.queue, producer=producer, retry=False)  # type: ignore[no-untyped-call]
        failpoint("relay.sent")
        outbox.mark_published(database, [row.id for row in rows])
        failpoint("relay.published")
        log.debug("wake_ups_published", count=len(rows))
        count += len(rows)
        if len(rows) < BATCH:
            break
    return count


def count_messages(app: Celery, queue: str) -> int:
    """Return how many messages a queue of the broker holds; 0 for one that the broker does not know.

    Raises
    ------
    OperationalError
        The broker does not respond.
    """
    with app.connection_for_write() as connection:  # type: ignore[no-untyped-call]
        try:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:
            return 0
        except connection.connection_errors as error:  # of the client library: the broker went away after it had been connected
            raise OperationalError(f"{type(error).__name__}: {error}") from error


def link_audit_events(database: Database) -> int:
    """Link every committed audit event to the chain, and return how many were linked.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    count = 0
    while linked := audit.chain(database, CHAIN_BATCH):
        count += linked
        if linked < CHAIN_BATCH:
            break
    return count
