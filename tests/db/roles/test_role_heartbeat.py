"""The heartbeat row of a process: there while it works, deleted at its end, written again when the database is back."""

import threading
from pathlib import Path

import pytest

from core.errors import StorageError
from db.engine import Database
from db.roles import back_off, role_heartbeat
from db.roles.heartbeats import alive_processes
from db.roles.process_name import process_name
from db.roles.role_heartbeat import RoleHeartbeat


def _rows(database: Database) -> list[tuple[str, str, dict[str, str]]]:
    return [(beat.role, beat.name, dict(beat.details)) for beat in alive_processes(database, 60.0)]


def test_the_row_is_there_while_the_role_works(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(role_heartbeat, "HEARTBEAT_INTERVAL_S", 0.01)
    monkeypatch.setenv(role_heartbeat.FILE_VARIABLE, str(tmp_path / "heartbeat"))
    counts = iter(range(10_000))
    written = threading.Event()

    def details() -> dict[str, str]:
        if (count := next(counts)) == 2:  # the row of 1 is committed
            written.set()
        return {"count": str(count)}

    with RoleHeartbeat(database, "conduct", details):
        assert written.wait(600)
        ((role, name, found),) = _rows(database)
        assert (role, name) == ("conduct", process_name())
        assert int(found["count"]) >= 1
        assert (tmp_path / "heartbeat").exists()  # what the health check of a container looks at
    assert _rows(database) == []


def test_a_failed_write_is_repeated(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back_off, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(role_heartbeat, "HEARTBEAT_INTERVAL_S", 0.01)
    failures, written = [StorageError("does not respond"), StorageError("does not respond")], threading.Event()

    def details() -> dict[str, str]:
        if failures:
            raise failures.pop()
        if _rows(database):
            written.set()
        return {}

    with RoleHeartbeat(database, "send", details):
        assert written.wait(600)


def test_ends_without_a_database() -> None:
    nowhere = Database.open("postgresql://nobody@127.0.0.1:1/none")
    with RoleHeartbeat(nowhere, "send", dict):
        pass
    nowhere.dispose()
