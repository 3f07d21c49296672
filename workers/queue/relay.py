"""Outbox to broker, and the audit chain: the two things that must happen once, right behind the act.

Two relays at once are harmless: a wake-up may be published twice, and the chain takes an advisory lock.
"""

import os
import threading
import time
from collections.abc import Callable

import structlog
from celery import Celery
from kombu.exceptions import ChannelError, OperationalError

from core.errors import StorageError
from core.failpoints import failpoint
from core.settings.settings import Settings
from db import audit, counters
from db.engine import Database
from db.jobs import outbox
from db.notify import Waiter
from db.roles.back_off import BackOff
from db.roles.role_heartbeat import RoleHeartbeat
from workers.queue import reaper
from workers.queue.celery_app import publisher
from workers.queue.queue_names import TASK

ROLE = "relay"
BATCH = 200
CHAIN_BATCH = 1000
WAIT_S = 1.0
CHAIN_BEHIND_S = 0.25
DIAL_EVERY_S = 3.0
FOLD_EVERY_S = 2.0

log = structlog.get_logger()


def run(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Publish, reap and chain until ``stop`` is set. Broker or database gone: said once, tried again, never the end."""
    app = publisher(settings)
    outgoing, broker = Step("publish", lambda: publish(app, database), 0.0), Step("broker", lambda: dial(app), DIAL_EVERY_S)

    def details() -> dict[str, str]:
        problem = {"problem": "the broker is out of reach"} if broker.down or outgoing.down else {}
        return {"pid": str(os.getpid()), **problem}

    steps = [
        outgoing,
        Step("reap", lambda: reaper.reap(settings, database, lambda queue: waiting(app, queue)), reaper.EVERY_S),
        Step("chain", lambda: chain(database), 0.0),
        broker,
        Step("count", lambda: counters.fold(database), FOLD_EVERY_S),
    ]
    waiter = Waiter(database, "outbox", "audit")
    with RoleHeartbeat(database, ROLE, details):
        try:
            while not stop.is_set():
                for each in steps:
                    each.take()
                wait(waiter, stop)
            for each in steps[:3:2]:  # what was committed just now still goes out
                each.take(always=True)
        finally:
            waiter.close()
            app.close()  # type: ignore[no-untyped-call]


def wait(waiter: Waiter, stop: threading.Event) -> None:
    """Until a wake-up is to go out, or a second has passed; `stop` is looked at often enough to drain at once.

    Nobody waits for the chain, and every act has its event: they are gathered for a moment behind the first, and linked together.
    """
    until = time.monotonic() + WAIT_S
    while not stop.is_set() and (left := until - time.monotonic()) > 0:
        rung = waiter.wait(min(0.2, left))
        if "outbox" in rung:
            return
        if rung:
            until = min(until, time.monotonic() + CHAIN_BEHIND_S)


class Step:
    """One thing that is done again and again, with its own interval and its own backoff."""

    def __init__(self, name: str, act: Callable[[], object], every_s: float) -> None:
        self._name, self._act, self._every_s = name, act, every_s
        self._due, self._back_off = 0.0, BackOff()
        self.down = False

    def take(self, *, always: bool = False) -> None:
        """Do it if it is due. Of what is out of reach the first failure and the recovery are logged."""
        if time.monotonic() < self._due and not always:
            return
        try:
            self._act()
        except (StorageError, OperationalError, OSError) as error:
            if not self.down:
                log.warning("out of reach; tried again until it is back", action=self._name, error=f"{type(error).__name__}: {error}")
            self.down = True
            self._due = time.monotonic() + self._back_off.next_pause_s()
            return
        if self.down:
            log.info("back in reach", action=self._name)
        self.down = False
        self._back_off.reset()
        self._due = time.monotonic() + self._every_s


def dial(app: Celery) -> None:
    """Prove that the broker answers: readiness must not wait for the first wake-up that cannot go out."""
    with app.connection_for_write() as link:  # type: ignore[no-untyped-call]
        link.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0, timeout=5)


def publish(app: Celery, database: Database) -> int:
    """Hand waiting wake-ups to the broker, then say so in the database. How many.

    Killed between the two, the next relay publishes again: a worker that finds nothing to do goes back to sleep.
    """
    count = 0
    while rows := outbox.pending(database, BATCH):
        failpoint("relay.read")
        with app.producer_pool.acquire(block=True) as producer:
            for row in rows:
                app.send_task(TASK, args=[row.job_id], queue=row.queue, producer=producer, retry=False)  # type: ignore[no-untyped-call]
        failpoint("relay.sent")
        outbox.published(database, [row.id for row in rows])
        failpoint("relay.published")
        count += len(rows)
        if len(rows) < BATCH:
            break
    return count


def waiting(app: Celery, queue: str) -> int:
    """How many messages a queue of the broker holds; 0 for one that was never used, or was forgotten."""
    with app.connection_for_write() as connection:  # type: ignore[no-untyped-call]
        try:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:
            return 0


def chain(database: Database) -> int:
    """Link every audit event that is committed. How many."""
    count = 0
    while linked := audit.chain(database, CHAIN_BATCH):
        count += linked
        if linked < CHAIN_BATCH:
            break
    return count
