"""The wall clock of the node. It is passed as an argument, so that tests can replace it; nothing else asks for the time of day."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
