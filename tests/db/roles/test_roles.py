"""Doorbells, heartbeats, commands, models: how the roles meet."""

import time
from threading import Timer

import pytest

from db.engine import Database
from db.jobs.job_admin import list_jobs
from db.notify import ChannelListener, notify
from db.operations import model_registry
from db.roles import commands, heartbeats
from tests.support.records import Sender, claim, complete, finish, identity, plan, run


def test_a_waiter_wakes_at_once(database: Database) -> None:
    waiter = ChannelListener(database, "intake", "outbox")
    assert waiter.wait(0) == {"intake", "outbox"}  # fresh: something may have been missed
    assert waiter.wait(0.05) == set()
    Sender(database).send(1)
    assert waiter.wait(5) == {"intake"}
    timer = Timer(0.2, complete, (database, plan()))
    timer.start()
    begun = time.monotonic()
    assert waiter.wait(10) == {"outbox"}
    assert time.monotonic() - begun < 5
    timer.join()
    waiter.close()


def test_a_rolled_back_act_does_not_ring(database: Database) -> None:
    waiter = ChannelListener(database, "commands")
    waiter.wait(0)
    with database.begin() as connection:
        notify(connection, "commands")
        connection.rollback()
    assert waiter.wait(0.1) == set()
    waiter.close()


def test_a_waiter_survives_a_lost_connection(database: Database) -> None:
    waiter = ChannelListener(database, "commands")
    waiter.wait(0)
    listening = "application_name = 'dicom-node listen' AND datname = current_database()"
    run(database, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {listening}")
    assert waiter.wait(10) == {"commands"}
    commands.enqueue_command(database, "echo", {}, "admin")
    assert waiter.wait(10) == {"commands"}
    waiter.close()


def test_a_waiter_without_database_takes_its_time_and_never_raises() -> None:
    nowhere = Database.open("postgresql://u:p@127.0.0.1:1/d")
    waiter = ChannelListener(nowhere, "intake")
    begun = time.monotonic()
    assert waiter.wait(0.3) == set()
    assert 0.25 < time.monotonic() - begun < 5
    waiter.close()
    nowhere.dispose()


def test_an_unknown_channel_is_a_mistake(database: Database) -> None:
    with pytest.raises(ValueError, match="channels are"):
        ChannelListener(database, "intakes")


def test_heartbeats(database: Database) -> None:
    heartbeats.record_heartbeat(database, "worker", "w1", {"model": "a"})
    heartbeats.record_heartbeat(database, "worker", "w1", {"model": "b"})
    heartbeats.record_heartbeat(database, "send", "s1", {})
    run(database, "UPDATE heartbeats SET at = at - interval '1 hour' WHERE role = 'send'")
    (alive,) = heartbeats.alive_processes(database, 60)
    assert (alive.role, alive.name, alive.details) == ("worker", "w1", {"model": "b"})
    assert 0 <= alive.age_s < 60
    heartbeats.delete_heartbeat(database, "worker", "w1")
    assert heartbeats.alive_processes(database, 60) == []


def test_a_command_is_carried_out_once_and_answered(database: Database) -> None:
    first = commands.enqueue_command(database, "echo", {"destination": "pacs"}, "admin")
    assert commands.claim_command(database, ("test_file",)) is None
    taken = commands.claim_command(database, ("echo",))
    assert taken is not None
    assert (taken.id, taken.args, taken.actor) == (first, {"destination": "pacs"}, "admin")
    assert commands.claim_command(database, ("echo",)) is None
    commands.finish_command(database, taken, ok=True, result={"ms": 3})
    shown = commands.show_command(database, first)
    assert shown is not None
    assert (shown["state"], shown["result"]) == ("done", {"ms": 3})
    assert commands.show_command(database, 999) is None


def test_a_command_whose_role_died_is_taken_up_again(database: Database) -> None:
    commands.enqueue_command(database, "echo", {}, "admin")
    commands.claim_command(database, ("echo",))
    run(database, "UPDATE commands SET started_at = started_at - interval '1 hour'")
    assert commands.claim_command(database, ("echo",)) is not None


def test_models_are_registered_once(database: Database) -> None:
    model_registry.register_model(database, identity())
    model_registry.register_model(database, identity())
    (known,) = model_registry.list_models(database)
    assert (known["name"], known["state"]) == ("lung_nodule_ct", "active")


def test_an_active_model_reports(database: Database) -> None:
    model_registry.register_model(database, identity())
    Sender(database).send(1)
    complete(database, plan())
    finish(database, claim(database))
    assert list_jobs(database)[0]["job_state"] == "reported"
