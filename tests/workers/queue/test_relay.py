"""What ends the relay's pause: a new outbox row at once, an audit event after a short delay, and the stop event at once."""

import threading
import time

import pytest

from db import audit
from db.engine import Database
from db.notify import ChannelListener, notify
from workers.queue import relay

FOREVER_S = 600.0


def record_event(database: Database) -> None:
    audit.record_now(database, actor="test", action="looked", subject="job:1")


def seconds_waited(waiter: ChannelListener) -> float:
    began = time.monotonic()
    relay.wait_for_work(waiter, threading.Event())
    return time.monotonic() - began


def test_audit_events_are_collected_and_a_wake_up_is_not_delayed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    waiter = ChannelListener(database, "outbox", "audit")
    try:
        seconds_waited(waiter)  # connects: notifications before that may have been missed
        monkeypatch.setattr(relay, "POLL_INTERVAL_S", FOREVER_S)
        monkeypatch.setattr(relay, "CHAIN_DELAY_S", 1.0)
        record_event(database)
        record_event(database)
        assert relay.CHAIN_DELAY_S <= seconds_waited(waiter) < relay.POLL_INTERVAL_S
        assert audit.chain(database) == 2
        monkeypatch.setattr(relay, "CHAIN_DELAY_S", FOREVER_S)
        record_event(database)
        with database.begin() as connection:
            notify(connection, "outbox")
        assert seconds_waited(waiter) < relay.CHAIN_DELAY_S
    finally:
        waiter.close()


def test_the_stop_event_ends_the_pause_at_once(database: Database) -> None:
    waiter, stop = ChannelListener(database, "outbox", "audit"), threading.Event()
    try:
        stop.set()
        relay.wait_for_work(waiter, stop)
        assert waiter.wait(0.2) == {"outbox", "audit"}  # it had not even connected
    finally:
        waiter.close()
