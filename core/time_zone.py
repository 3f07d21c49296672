"""Time zones as the configuration and DICOM headers name them."""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

from core.errors import ConfigurationError

# Timezone Offset From UTC (0008,0201): -1200 to +1400 (PS3.3 C.12.1.1.8).
OFFSET = re.compile(r"[+-](?:0\d|1[0-4])[0-5]\d")


def parse_time_zone(name: str) -> tzinfo | None:
    """Return "+0100" or an IANA name as a time zone; None for "".

    Raises
    ------
    ConfigurationError
        The name is neither of the two.
    """
    if not name:
        return None
    if OFFSET.fullmatch(name):
        minutes = int(name[1:3]) * 60 + int(name[3:])
        return timezone(timedelta(minutes=-minutes if name[0] == "-" else minutes))
    from zoneinfo import ZoneInfo  # not at the start of every command

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"node.timezone is {name!r}, which is not a time zone", hint="give +0100 or a name such as Europe/Berlin"
        ) from error


def find_zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name.

    Raises
    ------
    ConfigurationError
        There is none of this name, or this machine has no data of time zones.
    """
    if name == "UTC":  # needs no data
        return UTC
    from zoneinfo import ZoneInfo, available_timezones  # not at the start of every command

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        if available_timezones():
            raise ConfigurationError(f"{name!r} is not a time zone", hint="give a name such as Europe/Berlin") from error
        message = f"{name!r} cannot be used: this machine has no data of time zones"
        raise ConfigurationError(message, hint="install the package tzdata of the system, or of Python") from error


def offset_from_utc(at: datetime) -> str:
    """Return the offset of a time with a zone, as ``+01:00``; ``UTC`` for the zone of that name."""
    written = at.strftime("%z")
    return "UTC" if at.tzinfo is UTC else f"{written[:3]}:{written[3:5]}"


def day_begins(day: date, zone: tzinfo) -> datetime:
    """Return when a day begins in a zone, in UTC: at the first midnight of it, or when the clocks are put forward from midnight."""
    return datetime.combine(day, time(), zone).astimezone(UTC)  # a time that is left out has the offset that holds before the change


def monday_of(day: date) -> date:
    """Return the day with which the week of a day begins."""
    return day - timedelta(days=day.weekday())
