"""A role as a child: restarted with a growing pause."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.child_process import BACKOFF_S, Child


def until(check: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.02)
    return False


def test_a_child_that_dies_is_started_again_after_a_pause_that_grows(tmp_path: Path) -> None:
    child = Child("models", ("models", "show", "no_such_model"), {}, tmp_path / "models.log")
    child.start()
    pauses = []
    for _ in range(3):
        assert until(lambda: not child.alive)
        seen = time.monotonic()
        child.tend()
        pauses.append(child.due_at - seen)
        assert child.process is None
        assert until(lambda: time.monotonic() >= child.due_at)
        child.tend()
        assert child.process is not None
    assert child.last_status == 2
    assert pauses[1] > 1.5 * pauses[0] > BACKOFF_S
    assert pauses[2] > 1.5 * pauses[1]
    child.kill()
    assert (tmp_path / "models.log").read_text().count("no_such_model") >= 3


def test_settings_reach_a_child_through_its_environment(tmp_path: Path) -> None:
    child = Child("jobs", ("jobs", "list"), {"DICOM_NODE_DATABASE__URL": "mysql://somewhere"}, tmp_path / "jobs.log")
    child.start()
    assert until(lambda: not child.alive)
    assert "mysql" in (tmp_path / "jobs.log").read_text()
    child.kill()


def test_a_child_that_had_worked_is_back_at_once_however_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.child_process.STEADY_S", 0.01)
    child = Child("models", ("models", "show", "no_such_model"), {}, tmp_path / "models.log")
    child.start()
    for _ in range(3):
        assert until(lambda: not child.alive)
        seen = time.monotonic()
        child.tend()
        assert child.due_at - seen < 1.5 * BACKOFF_S
        assert until(lambda: time.monotonic() >= child.due_at)
        child.tend()
    child.kill()
