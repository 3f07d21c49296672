"""Lists refused data sets."""

from dataclasses import dataclass
from datetime import datetime

from db.listings.reader import Reader

COLUMNS = "id, sha256, size_bytes, reason, status, sop_class_uid, sop_instance_uid, source, first_at, last_at, times"
_LIST = f"""
    SELECT {COLUMNS}
    FROM quarantine
    WHERE CAST(%(before)s AS bigint) IS NULL OR (last_at, id) < (SELECT b.last_at, b.id FROM quarantine b WHERE b.id = %(before)s)
    ORDER BY last_at DESC, id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """A refused data set, kept for a person to look at."""

    id: int
    sha256: str
    size_bytes: int
    reason: str
    status: int  # of the C-STORE response
    sop_class_uid: str
    sop_instance_uid: str
    source: str
    first_at: datetime
    last_at: datetime
    times: int


def list_quarantined(reader: Reader, limit: int = 100, *, before: int | None = None) -> list[QuarantinedItem]:
    """Return the items, the latest first; ``before`` continues behind the item with this number."""
    return [QuarantinedItem(**row) for row in reader.read(_LIST, {"limit": limit, "before": before})]
