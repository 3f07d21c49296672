"""A place in a list by time: where a page ended, also when its last row has been deleted or has changed since."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
PATTERN = "^[0-9]{1,16}-[0-9]{1,18}$"
"""Microseconds since 1970 and the number of a row, both within what PostgreSQL stores."""


@dataclass(frozen=True, slots=True)
class ListPlace:
    """The time and the number of the last row of a page."""

    at: datetime
    id: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the place of a text that matches `PATTERN`."""
        microseconds, _, id = text.partition("-")
        return cls(_EPOCH + int(microseconds) * _MICROSECOND, int(id))

    def __str__(self) -> str:
        """Return the place as text, without loss: PostgreSQL keeps microseconds."""
        return f"{(self.at - _EPOCH) // _MICROSECOND}-{self.id}"


def place_values(before: ListPlace | None) -> dict[str, Any]:
    """Return the parameters ``before_at`` and ``before_id`` of a query; None without a place."""
    return {"before_at": None if before is None else before.at, "before_id": None if before is None else before.id}
