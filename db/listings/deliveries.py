"""Lists deliveries."""

from typing import Any

from core.states import DeliveryState
from db.listings.reader import Reader, json_row

_LIST = """
    SELECT * FROM v_deliveries WHERE (CAST(%(state)s AS text) IS NULL OR state = %(state)s)
      AND (CAST(%(destination)s AS text) IS NULL OR destination = %(destination)s)
      AND (CAST(%(before)s AS bigint) IS NULL OR delivery_id < %(before)s)
    ORDER BY delivery_id DESC LIMIT %(limit)s
"""


def list_deliveries(
    reader: Reader, *, state: DeliveryState | str | None = None, destination: str | None = None, before: int | None = None,
    limit: int = 200,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return rows of v_deliveries as JSON objects, the newest first; ``before`` continues behind the delivery with this number."""
    values = {"state": None if state is None else str(state), "destination": destination, "before": before, "limit": limit}
    return [json_row(row) for row in reader.read(_LIST, values)]
