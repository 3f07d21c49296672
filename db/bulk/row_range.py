"""A part of the rows of a selection, by their numbers: a command on many rows is carried out part by part."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RowRange:
    """Rows with numbers above ``after`` and up to ``last`` (0: without end), the lowest first, at most ``limit`` of them (None: all)."""

    after: int = 0
    last: int = 0
    limit: int | None = None

    def values(self) -> dict[str, Any]:
        """Return the parameters of a query."""
        return {"after": self.after, "last": self.last, "limit": self.limit}


WHOLE = RowRange()
