"""The node's one wall clock, injected everywhere: nothing else asks the time of day."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Now, with time zone UTC."""
    return datetime.now(UTC)  # the single place
