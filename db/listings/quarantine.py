"""Lists refused data sets."""

from dataclasses import dataclass
from datetime import datetime

from db.bulk.row_range import WHOLE, RowRange
from db.listings.place import ListPlace, place_values
from db.listings.reader import Reader

COLUMNS = "id, sha256, size_bytes, reason, status, sop_class_uid, sop_instance_uid, source, first_at, last_at, times"
_LIST = f"""
    SELECT {COLUMNS}
    FROM quarantine
    WHERE CAST(%(before_at)s AS timestamptz) IS NULL OR (last_at, id) < (CAST(%(before_at)s AS timestamptz), CAST(%(before_id)s AS bigint))
    ORDER BY last_at DESC, id DESC LIMIT %(limit)s
"""
_SELECTED = f"""
    SELECT {COLUMNS} FROM quarantine
    WHERE (CAST(%(cause)s AS text) IS NULL OR reason = %(cause)s) AND (CAST(%(source)s AS text) IS NULL OR source = %(source)s)
      AND id > %(after)s AND (%(last)s = 0 OR id <= %(last)s)
    ORDER BY id LIMIT %(limit)s
"""
_CAUSES = """
    SELECT reason AS cause, source, count(*) AS number FROM quarantine
    GROUP BY reason, source ORDER BY number DESC, reason, source LIMIT %(limit)s
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

    @property
    def place(self) -> ListPlace:
        """Its place in the list."""
        return ListPlace(self.last_at, self.id)


def list_quarantined(reader: Reader, limit: int = 100, *, before: ListPlace | None = None) -> list[QuarantinedItem]:
    """Return the items, the latest first; ``before`` continues behind this place: `QuarantinedItem.place` of the last one."""
    return [QuarantinedItem(**row) for row in reader.read(_LIST, {"limit": limit} | place_values(before))]


def count_quarantined(reader: Reader) -> int:
    """Return how many refused data sets are stored."""
    return int(reader.read("SELECT count(*) AS number FROM quarantine", {})[0]["number"])


@dataclass(frozen=True, slots=True)
class QuarantineSelection:
    """Refused data sets that a person wants to be checked again: with the reason ``cause``, of a source; "" is any."""

    cause: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class RefusalCause:
    """How many data sets of a source were refused with the same reason."""

    cause: str
    source: str
    number: int


def select_quarantined(reader: Reader, selection: QuarantineSelection, part: RowRange = WHOLE) -> list[QuarantinedItem]:
    """Return the selected items in a range of numbers, by number."""
    values = {"cause": selection.cause or None, "source": selection.source or None, **part.values()}
    return [QuarantinedItem(**row) for row in reader.read(_SELECTED, values)]


def refusal_causes(reader: Reader, *, limit: int) -> list[RefusalCause]:
    """Return the most frequent reasons for which data sets were refused, by source."""
    return [RefusalCause(**row) for row in reader.read(_CAUSES, {"limit": limit})]
