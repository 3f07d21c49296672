"""The start of a node ends at once when a role that it needs has ended, and says meanwhile what it waits for."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.errors import ConfigurationError, StorageError
from core.settings.settings import Settings
from db.engine import Database
from db.roles.heartbeats import record_heartbeat
from deploy.local import readiness
from deploy.local.child_process import SupervisedRole
from deploy.local.ports import free_port
from deploy.local.readiness import NEEDED, Readiness


def role(name: str, status: int | None, failures: int = 0) -> SupervisedRole:
    """A role whose last process has ended with this status."""
    return SupervisedRole(name, (name,), {}, failures=failures, last_status=status)


def test_a_needed_role_that_ends_with_an_error_ends_the_wait(database: Database) -> None:
    def check(*roles: SupervisedRole) -> bool:
        return Readiness(Settings(), database, roles, free_port(), None).is_ready()

    with pytest.raises(StorageError, match=r"role relay has ended with status 1 \(the reason is in its lines"):
        check(role("listen", None), role("relay", 1))
    with pytest.raises(ConfigurationError, match="role console refuses to start"):
        check(role("console", 2))
    with pytest.raises(StorageError, match="role worker keeps ending with status -9"):
        check(role("worker", -9, failures=readiness.MAXIMUM_FAILURES))
    assert not check(role("console", 1, failures=1), role("worker", -9, failures=1))  # started again


def test_the_log_says_which_roles_are_awaited(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "REPORT_EVERY_S", 0.0)
    waiting = Readiness(Settings(), database, (), free_port(), None)
    for name in set(NEEDED) - {"worker"}:
        record_heartbeat(database, name, "host:1", {})
    with capture_logs() as logs:
        assert not waiting.is_ready()
    assert [(line["event"], line["name"]) for line in logs] == [("waiting_for_roles", "worker")]


def test_the_reason_is_the_last_line_of_the_role(database: Database, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("something\ndicom-node: an older reason\ndicom-node: its children cannot start: ImportError: no codec\n2026 ended\n")
    ended = SupervisedRole("worker", ("worker",), {}, log_file=log, last_status=1)
    with pytest.raises(StorageError, match=r"has ended with status 1: its children cannot start: ImportError: no codec \(see .*worker.log"):
        Readiness(Settings(), database, [ended], free_port(), tmp_path).is_ready()
