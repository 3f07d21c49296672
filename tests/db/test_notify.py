"""Notifications between roles: they end a wait early, and a lost connection is replaced."""

import time
from threading import Timer

import pytest

from db.engine import Database
from db.notify import ChannelListener, notify
from db.roles import commands
from tests.support.records import Sender, complete, plan, run


def test_a_notification_ends_the_wait(database: Database) -> None:
    listener = ChannelListener(database, "intake", "outbox")
    assert listener.wait(0) == {"intake", "outbox"}  # after a connect: notifications may have been missed
    assert listener.wait(0.05) == set()
    Sender(database).send(1)
    assert listener.wait(600) == {"intake"}
    timer = Timer(0.2, complete, (database, plan()))
    timer.start()
    assert listener.wait(600) == {"outbox"}
    timer.join()
    listener.close()


def test_a_rolled_back_transaction_does_not_notify(database: Database) -> None:
    listener = ChannelListener(database, "commands")
    listener.wait(0)
    with database.begin() as connection:
        notify(connection, "commands")
        connection.rollback()
    assert listener.wait(0.1) == set()
    listener.close()


def test_a_listener_survives_a_lost_connection(database: Database) -> None:
    listener = ChannelListener(database, "commands")
    listener.wait(0)
    listening = "application_name = 'dicom-node listen' AND datname = current_database()"
    run(database, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {listening}")
    assert listener.wait(600) == {"commands"}
    commands.enqueue_command(database, "echo", {}, "admin")
    assert listener.wait(600) == {"commands"}
    listener.close()


def test_a_listener_without_a_database_waits_and_does_not_raise() -> None:
    unconnected = Database.open("postgresql://u:p@127.0.0.1:1/d")
    listener = ChannelListener(unconnected, "intake")
    begun = time.monotonic()
    assert listener.wait(0.3) == set()
    assert time.monotonic() - begun > 0.25
    listener.close()
    unconnected.dispose()


def test_an_unknown_channel_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="channels are"):
        ChannelListener(database, "intakes")
