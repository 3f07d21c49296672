"""What keeps the node from being ready, and the formats of the status page."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.formats import format_age, format_size
from console.health import HEARTBEAT_MAX_AGE_S, ROLES, NodeReadiness, check_disk, check_pauses, check_roles, disk_usage
from db.operations.alerts import Alert
from db.roles.heartbeats import Heartbeat

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _beat(role: str, age_s: float = 1.0, name: str = "host:1", **details: str) -> Heartbeat:
    return Heartbeat(role, name, AT, age_s, details)


ALL_ALIVE = [_beat(role) for role in ROLES]


def test_all_roles_with_recent_heartbeats_are_ready() -> None:
    assert check_roles(ALL_ALIVE) == ()
    assert check_roles([*ALL_ALIVE, _beat("console", 500.0)]) == ()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_without_a_recent_heartbeat_is_named(role: str) -> None:
    old = [_beat(beat.role, HEARTBEAT_MAX_AGE_S if beat.role == role else 0.0) for beat in ALL_ALIVE]
    for beats in (old, [beat for beat in ALL_ALIVE if beat.role != role]):
        (line,) = check_roles(beats)
        assert line == f"{role}: no heartbeat within 30 s"


def test_one_healthy_process_of_a_role_is_enough() -> None:
    others = [beat for beat in ALL_ALIVE if beat.role != "relay"]
    failing, dead, healthy = _beat("relay", problem="broker unavailable"), _beat("relay", 99.0, "b:2"), _beat("relay", 2.0, "c:3")
    assert check_roles([*others, failing, dead, healthy]) == ()
    assert check_roles([*others, failing, dead]) == ("relay: broker unavailable",)


def test_too_little_disk_space_is_named() -> None:
    assert check_disk(1000, 1000) == ()
    assert check_disk(999, 1000) == ("disk: 999 B free, 1000 B needed to receive",)
    assert check_disk(None, 0) == ("disk: the data folder cannot be read",)


def test_disk_usage_of_the_data_folder(tmp_path: Path) -> None:
    free, total = disk_usage(tmp_path)
    assert free is not None
    assert total is not None
    assert 0 < free <= total
    assert disk_usage(tmp_path / "gone") == (None, None)


def test_paused_receiving_is_named() -> None:
    alerts = (Alert("receive.paused", "queue", 3.0, {}), Alert("destination.away", "pacs", 3.0, {}))
    assert check_pauses(alerts) == ("receive: paused, too many units wait to be analysed",)


def test_ready_when_nothing_is_missing() -> None:
    assert NodeReadiness(()).ready
    assert not NodeReadiness(("disk: full",)).ready


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (0.4, "0 s"), (59.9, "59 s"), (75.2, "1 min 15 s"), (3600, "1 h"), (90061, "1 d 1 h"), (7261, "2 h 1 min")],
)
def test_format_of_an_age(seconds: float | None, text: str) -> None:
    assert format_age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "unknown"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (3 << 40, "3.0 TiB")],
)
def test_format_of_a_size(count: int | None, text: str) -> None:
    assert format_size(count) == text
