"""Lists units that no route took."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.bulk.row_range import WHOLE, RowRange
from db.listings.place import ListPlace, place_values
from db.listings.reader import Reader

UNROUTED = "u.state = 'complete' AND u.outcome IS NOT NULL AND u.routes = '{}'"
IMAGES_REMOVED = "EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'current' AND i.removed_at IS NOT NULL)"
_COLUMNS = f"""
    SELECT u.id AS unit_id, u.kind, u.source, u.held, u.completed_at, u.reason, {IMAGES_REMOVED} AS let_go,
           st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid, st.accession_number, st.study_description,
           se.modality, se.series_description
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id WHERE {UNROUTED}
"""
_LIST = f"""
    {_COLUMNS} AND u.completed_at >= coalesce(CAST(%(since)s AS timestamptz), '-infinity')
      AND (CAST(%(before_at)s AS timestamptz) IS NULL
           OR (u.completed_at, u.id) < (CAST(%(before_at)s AS timestamptz), CAST(%(before_id)s AS bigint)))
    ORDER BY u.completed_at DESC, u.id DESC LIMIT %(limit)s
"""
_SELECTED = f"""
    {_COLUMNS} AND (CAST(%(source)s AS text) IS NULL OR u.source = %(source)s)
      AND (CAST(%(since)s AS timestamptz) IS NULL OR u.completed_at >= %(since)s)
      AND (CAST(%(until)s AS timestamptz) IS NULL OR u.completed_at < %(until)s)
      AND u.id > %(after)s AND (%(last)s = 0 OR u.id <= %(last)s)
    ORDER BY u.id LIMIT %(limit)s
"""
_SOURCES = f"SELECT source, count(*) AS number FROM units u WHERE {UNROUTED} GROUP BY source ORDER BY number DESC, source LIMIT %(limit)s"


def list_unrouted(reader: Reader, *, since: datetime | None, before: ListPlace | None = None, limit: int) -> list[dict[str, Any]]:
    """Return units that no route took, the latest first; ``before`` continues behind this place (``completed_at`` and ``unit_id``).

    ``let_go`` is true where retention has removed images of the unit, so that it cannot be routed again.
    """
    return reader.read(_LIST, {"since": since, "limit": limit} | place_values(before))


@dataclass(frozen=True, slots=True)
class UnroutedSelection:
    """Units that a person wants to be routed again: of a source ("" is any), complete since and before a time."""

    source: str = ""
    since: datetime | None = None
    until: datetime | None = None


def select_unrouted(reader: Reader, selection: UnroutedSelection, part: RowRange = WHOLE) -> list[dict[str, Any]]:
    """Return the selected units in a range of numbers, by number, as `list_unrouted` does."""
    values = {"source": selection.source or None, "since": selection.since, "until": selection.until, **part.values()}
    return reader.read(_SELECTED, values)


def sources_of_unrouted(reader: Reader, *, limit: int) -> list[tuple[str, int]]:
    """Return the sources with most units that no route took, and how many."""
    return [(row["source"], row["number"]) for row in reader.read(_SOURCES, {"limit": limit})]
