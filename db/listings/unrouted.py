"""Lists units that no route took."""

from datetime import datetime
from typing import Any

from db.listings.place import ListPlace, place_values
from db.listings.reader import Reader

UNROUTED = "u.state = 'complete' AND u.outcome IS NOT NULL AND u.routes = '{}'"
IMAGES_REMOVED = "EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'current' AND i.removed_at IS NOT NULL)"
_LIST = f"""
    SELECT u.id AS unit_id, u.kind, u.source, u.held, u.completed_at, u.reason, {IMAGES_REMOVED} AS let_go,
           st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid, st.accession_number, st.study_description,
           se.modality, se.series_description
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE {UNROUTED} AND u.completed_at >= coalesce(CAST(%(since)s AS timestamptz), '-infinity')
      AND (CAST(%(before_at)s AS timestamptz) IS NULL
           OR (u.completed_at, u.id) < (CAST(%(before_at)s AS timestamptz), CAST(%(before_id)s AS bigint)))
    ORDER BY u.completed_at DESC, u.id DESC LIMIT %(limit)s
"""


def list_unrouted(reader: Reader, *, since: datetime | None, before: ListPlace | None = None, limit: int) -> list[dict[str, Any]]:
    """Return units that no route took, the latest first; ``before`` continues behind this place (``completed_at`` and ``unit_id``).

    ``let_go`` is true where retention has removed images of the unit, so that it cannot be routed again.
    """
    return reader.read(_LIST, {"since": since, "limit": limit} | place_values(before))
