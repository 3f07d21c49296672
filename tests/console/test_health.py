"""What keeps the node from being ready, judged without a server."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.health import HEARTBEAT_MAX_AGE_S, ROLES, Readiness, disk_of, judge_disk, judge_pauses, judge_roles
from console.pages import age, size
from db.operations.alerts import Alert
from db.records import Heartbeat

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _beat(role: str, age_s: float = 1.0, name: str = "host:1", **details: str) -> Heartbeat:
    return Heartbeat(role, name, AT, age_s, details)


ALIVE = [_beat(role) for role in ROLES]


def test_all_roles_alive() -> None:
    assert judge_roles(ALIVE) == ()
    assert judge_roles([*ALIVE, _beat("console", 500.0)]) == ()


@pytest.mark.parametrize("role", ROLES)
def test_a_silent_role_is_named(role: str) -> None:
    old = [_beat(beat.role, HEARTBEAT_MAX_AGE_S if beat.role == role else 0.0) for beat in ALIVE]
    for beats in (old, [beat for beat in ALIVE if beat.role != role]):
        (line,) = judge_roles(beats)
        assert line == f"{role}: no heartbeat within 30 s"


def test_one_process_that_works_is_enough() -> None:
    others = [beat for beat in ALIVE if beat.role != "relay"]
    sick, dead, well = _beat("relay", problem="broker out of reach"), _beat("relay", 99.0, "b:2"), _beat("relay", 2.0, "c:3")
    assert judge_roles([*others, sick, dead, well]) == ()
    assert judge_roles([*others, sick, dead]) == ("relay: broker out of reach",)


def test_disk() -> None:
    assert judge_disk(1000, 1000) == ()
    assert judge_disk(999, 1000) == ("disk: 999 bytes free, 1000 needed to receive",)
    assert judge_disk(None, 0) == ("disk: the data folder cannot be read",)


def test_the_disk_is_measured(tmp_path: Path) -> None:
    free, total = disk_of(tmp_path)
    assert free is not None
    assert total is not None
    assert 0 < free <= total
    assert disk_of(tmp_path / "gone") == (None, None)


def test_a_pause_of_receiving_is_named() -> None:
    alerts = (Alert("receive.paused", "queue", 3.0, {}), Alert("destination.away", "pacs", 3.0, {}))
    assert judge_pauses(alerts) == ("receive: paused, too many units wait to be analysed",)


def test_ready_means_nothing_missing() -> None:
    assert Readiness(()).ready
    assert not Readiness(("disk: full",)).ready


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "unknown"), (0.4, "0 s"), (59.9, "59 s"), (75.2, "1 min 15 s"), (3600, "1 h"), (90061, "1 d 1 h"), (7261, "2 h 1 min")],
)
def test_age_in_words(seconds: float | None, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(None, "unknown"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (3 << 40, "3.0 TiB")],
)
def test_size_in_words(count: int | None, words: str) -> None:
    assert size(count) == words
