"""Time zones by offset and by name."""

from datetime import UTC, datetime, timedelta

import pytest

from core.errors import ConfigurationError
from core.time_zone import parse_time_zone

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
