"""Heartbeats: one row per process, listed while it is recent."""

from db.engine import Database
from db.roles import heartbeats
from tests.support.records import run


def test_recent_heartbeats_are_listed(database: Database) -> None:
    heartbeats.record_heartbeat(database, "worker", "w1", {"model": "a"})
    heartbeats.record_heartbeat(database, "worker", "w1", {"model": "b"})
    heartbeats.record_heartbeat(database, "send", "s1", {})
    run(database, "UPDATE heartbeats SET at = at - interval '1 hour' WHERE role = 'send'")
    (alive,) = heartbeats.alive_processes(database, 60)
    assert (alive.role, alive.name, alive.details) == ("worker", "w1", {"model": "b"})
    assert 0 <= alive.age_s < 600
    heartbeats.delete_heartbeat(database, "worker", "w1")
    assert heartbeats.alive_processes(database, 60) == []
