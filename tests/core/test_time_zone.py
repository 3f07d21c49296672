"""Time zones by offset and by name."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from core.errors import ConfigurationError
from core.time_zone import day_begins, find_zone, monday_of, offset_from_utc, parse_time_zone

SUMMER = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(("name", "hours"), [("+0530", 5.5), ("-1200", -12), ("+1400", 14), ("Europe/Berlin", 2)])
def test_a_time_zone(name: str, hours: float) -> None:
    assert SUMMER.astimezone(parse_time_zone(name)).utcoffset() == timedelta(hours=hours)


def test_no_time_zone() -> None:
    assert parse_time_zone("") is None


@pytest.mark.parametrize("zone", ["Mars/Olympus", "0100", "+01:00", "+9900", "+1460", "/etc/localtime", "../zone"])
def test_an_unknown_time_zone_is_an_error(zone: str) -> None:
    with pytest.raises(ConfigurationError, match=r"node\.timezone"):
        parse_time_zone(zone)


@pytest.mark.parametrize(
    ("name", "offset"), [("UTC", "UTC"), ("Europe/Berlin", "+02:00"), ("Asia/Kolkata", "+05:30"), ("America/St_Johns", "-02:30")]
)
def test_a_zone_by_its_name_and_its_offset(name: str, offset: str) -> None:
    assert offset_from_utc(SUMMER.astimezone(find_zone(name))) == offset


@pytest.mark.parametrize(
    ("name", "day", "hour"),
    [
        ("UTC", date(2026, 3, 29), 0),
        ("Asia/Tokyo", date(2026, 3, 29), -9),
        ("Europe/Berlin", date(2026, 3, 29), -1),
        ("Europe/Berlin", date(2026, 3, 30), -2),
        ("Asia/Beirut", date(2026, 3, 29), -2),  # the clocks are put forward at midnight: the day begins at 1:00
        ("America/Havana", date(2026, 11, 1), 4),  # and back at 1:00: midnight comes twice, and the day has begun at the first
    ],
)
def test_a_day_begins_at_its_first_moment(name: str, day: date, hour: int) -> None:
    """``hour``: after midnight of UTC."""
    begins = day_begins(day, find_zone(name))
    assert begins == datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)
    moment = timedelta(microseconds=1)
    assert [(begins + change).astimezone(find_zone(name)).date() for change in (-moment, moment)] == [day - timedelta(days=1), day]


def test_a_week_begins_on_monday() -> None:
    assert [monday_of(date(2026, 11, number)).day for number in (1, 2, 3, 8, 9)] == [26, 2, 2, 2, 9]


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "+0100", "Europe", "/etc/localtime", "../zone", "zone.tab"])
def test_an_unknown_name_of_a_zone_is_an_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a time zone \(give a name such as Europe/Berlin\)"):
        find_zone(name)


def test_a_machine_without_data_of_time_zones_is_told_what_to_install() -> None:
    """In a process of its own, in which Python looks for them nowhere and has no packages; UTC needs none."""
    script = "from core.time_zone import find_zone; print(find_zone('UTC')); find_zone('Europe/Berlin')"
    environ = {**os.environ, "PYTHONTZPATH": ""}
    done = subprocess.run([sys.executable, "-S", "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert done.stdout == "UTC\n"
    assert "this machine has no data of time zones (install the package tzdata of the system, or of Python)" in done.stderr
