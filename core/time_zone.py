"""Time zones as the configuration and DICOM headers name them."""

import re
from datetime import timedelta, timezone, tzinfo

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
