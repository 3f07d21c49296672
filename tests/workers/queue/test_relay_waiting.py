"""What wakes the relay: a job at once, an event of the audit trail a moment later, together with those behind it."""

import threading
import time

from db import audit
from db.engine import Database
from db.notify import Waiter, notify
from workers.queue import relay


def act(database: Database) -> None:
    audit.record_now(database, actor="test", action="looked", subject="job:1")


def waited(waiter: Waiter) -> float:
    began = time.monotonic()
    relay.wait(waiter, threading.Event())
    return time.monotonic() - began


def test_events_are_gathered_and_a_wake_up_is_not_held_up(database: Database) -> None:
    waiter = Waiter(database, "outbox", "audit")
    try:
        waited(waiter)  # connects: what rang before may have been missed
        act(database)
        later = threading.Timer(relay.CHAIN_BEHIND_S / 2, act, (database,))
        later.start()
        assert relay.CHAIN_BEHIND_S <= waited(waiter) < relay.WAIT_S
        later.join()
        assert audit.chain(database) == 2
        act(database)
        with database.begin() as connection:
            notify(connection, "outbox")
        assert waited(waiter) < relay.CHAIN_BEHIND_S
    finally:
        waiter.close()


def test_who_is_told_to_stop_waits_no_longer(database: Database) -> None:
    waiter, stop = Waiter(database, "outbox", "audit"), threading.Event()
    try:
        stop.set()
        relay.wait(waiter, stop)
        assert waiter.wait(0.2) == {"outbox", "audit"}  # it was not even dialled
    finally:
        waiter.close()
