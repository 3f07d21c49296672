"""The process of a role is started again after growing pauses."""

import time
from pathlib import Path

import pytest

from deploy.local.child_process import FIRST_PAUSE_S, LONGEST_PAUSE_S, SupervisedRole
from tests.support.node_process import wait_until


def test_a_process_that_ends_early_is_started_again_after_growing_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.child_process.STABLE_AFTER_S", 3600.0)  # on a loaded machine the end comes late
    role = SupervisedRole("role", ("no_such_command",), {}, tmp_path / "role.log")
    role.start()
    pauses = []
    for _ in range(3):
        wait_until("the end of the process", lambda: not role.alive, every_s=0.02)
        ended = time.monotonic()
        role.restart_if_ended()
        pauses.append(role.restart_at - ended)
        assert role.process is None
        wait_until("the end of the pause", lambda: time.monotonic() >= role.restart_at, every_s=0.02)
        role.restart_if_ended()
        assert role.process is not None
    assert role.last_status == 2
    assert pauses[1] > 1.5 * pauses[0] > FIRST_PAUSE_S
    assert pauses[2] > 1.5 * pauses[1]
    role.kill()
    assert (tmp_path / "role.log").read_text().count("no_such_command") >= 3


def test_a_role_that_has_ended_for_days_does_not_end_the_node(tmp_path: Path) -> None:
    role = SupervisedRole("role", ("no_such_command",), {}, tmp_path / "role.log", failures=5000)
    role.start()
    wait_until("the end of the process", lambda: not role.alive, every_s=0.02)
    role.restart_if_ended()
    assert 0 < role.restart_at - time.monotonic() <= LONGEST_PAUSE_S


def test_settings_reach_the_process_through_its_environment(tmp_path: Path) -> None:
    role = SupervisedRole("jobs", ("jobs", "list"), {"DICOM_NODE_DATABASE__URL": "mysql://somewhere"}, tmp_path / "jobs.log")
    role.start()
    wait_until("the end of the process", lambda: not role.alive, every_s=0.02)
    assert "mysql" in (tmp_path / "jobs.log").read_text()
    role.kill()


def test_a_process_that_had_run_for_long_is_started_again_after_the_first_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.child_process.STABLE_AFTER_S", 0.01)
    role = SupervisedRole("role", ("no_such_command",), {}, tmp_path / "role.log")
    role.start()
    for _ in range(3):
        wait_until("the end of the process", lambda: not role.alive, every_s=0.02)
        ended = time.monotonic()
        role.restart_if_ended()
        assert role.restart_at - ended < 1.5 * FIRST_PAUSE_S
        wait_until("the end of the pause", lambda: time.monotonic() >= role.restart_at, every_s=0.02)
        role.restart_if_ended()
    role.kill()
