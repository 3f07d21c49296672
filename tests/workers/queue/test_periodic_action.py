"""Back-off and recovery of the relay's actions, on a clock of the test."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
from kombu.exceptions import KombuError
from redis.exceptions import BusyLoadingError
from redis.exceptions import TimeoutError as RedisTimeout
from structlog.testing import capture_logs

from core.errors import StorageError
from db.roles.back_off import FIRST_PAUSE_S
from workers.queue import periodic_action
from workers.queue.periodic_action import PeriodicAction


def test_a_failing_action_pauses_longer_each_time_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(periodic_action, "time", SimpleNamespace(monotonic=lambda: clock.now))
    calls: list[float] = []
    failing = [True]

    def act() -> None:
        calls.append(clock.now)
        if failing[0]:
            raise StorageError("gone")

    action = PeriodicAction("act", act, 0.0)
    began = clock.now
    while clock.now - began < 1.6:
        action.run_if_due()
        clock.now += 0.01
    assert len(calls) == 4  # at 0, 0.2, 0.6 and 1.4 s
    pauses = [later - earlier for earlier, later in pairwise(calls)]
    assert pauses[0] >= FIRST_PAUSE_S
    assert pauses[1] >= 2 * FIRST_PAUSE_S
    failing[0] = False
    action.run()
    action.run_if_due()
    action.run_if_due()
    assert len(calls) == 7
    assert not action.failing


def test_an_error_of_another_kind_is_raised() -> None:
    def act() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        PeriodicAction("act", act, 0.0).run_if_due()


@pytest.mark.parametrize("error", [KombuError("gone"), BusyLoadingError("loading"), RedisTimeout("frozen"), ConnectionResetError("reset")])
def test_the_loss_of_the_broker_is_logged_once_and_without_a_traceback(error: Exception) -> None:
    def act() -> None:
        raise error

    action = PeriodicAction("publish", act, 0.0)
    with capture_logs() as logged:
        action.run()
        action.run()
    assert [entry["event"] for entry in logged] == ["relay_action_failed"]
    assert "exc_info" not in logged[0]
    assert action.failing
