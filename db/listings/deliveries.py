"""Lists deliveries, and counts those that wait for a person."""

from dataclasses import dataclass
from typing import Any

from core.states import DeliveryState
from db.listings.reader import Reader, json_row

_LIST = """
    SELECT * FROM v_deliveries WHERE (CAST(%(state)s AS text) IS NULL OR state = %(state)s)
      AND (CAST(%(destination)s AS text) IS NULL OR destination = %(destination)s)
      AND (CAST(%(before)s AS bigint) IS NULL OR delivery_id < %(before)s)
    ORDER BY delivery_id DESC LIMIT %(limit)s
"""
_STOPPED = """
    SELECT destination, count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'held') AS held
    FROM deliveries WHERE state IN ('failed', 'held') AND NOT awaiting_verdict GROUP BY destination ORDER BY destination
"""


@dataclass(frozen=True, slots=True)
class StoppedDeliveries:
    """How many deliveries to one destination have failed, and how many are held by a rule; neither is sent without a person."""

    destination: str
    failed: int
    held: int


def list_deliveries(
    reader: Reader, *, state: DeliveryState | str | None = None, destination: str | None = None, before: int | None = None,
    limit: int = 200,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return rows of v_deliveries as JSON objects, the newest first; ``before`` continues behind the delivery with this number."""
    values = {"state": None if state is None else str(state), "destination": destination, "before": before, "limit": limit}
    return [json_row(row) for row in reader.read(_LIST, values)]


def count_stopped_deliveries(reader: Reader) -> list[StoppedDeliveries]:
    """Return the counts of each destination that has any. What waits for a clinician's verdict is held on purpose, and not counted."""
    return [StoppedDeliveries(**row) for row in reader.read(_STOPPED, {})]
