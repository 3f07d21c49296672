"""Lists units that no route took."""

from datetime import datetime
from typing import Any

from db.listings.reader import Reader

UNROUTED = "u.state = 'complete' AND u.outcome IS NOT NULL AND u.routes = '{}'"
IMAGES_REMOVED = "EXISTS (SELECT FROM instances i WHERE i.unit_id = u.id AND i.state = 'current' AND i.removed_at IS NOT NULL)"
_LIST = f"""
    SELECT u.id AS unit_id, u.kind, u.source, u.held, u.completed_at, u.reason, {IMAGES_REMOVED} AS let_go,
           st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid, st.accession_number, st.study_description,
           se.modality, se.series_description
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE {UNROUTED} AND u.completed_at >= coalesce(CAST(%(since)s AS timestamptz), '-infinity')
      AND (CAST(%(before)s AS bigint) IS NULL
           OR (u.completed_at, u.id) < (SELECT b.completed_at, b.id FROM units b WHERE b.id = %(before)s))
    ORDER BY u.completed_at DESC, u.id DESC LIMIT %(limit)s
"""


def list_unrouted(reader: Reader, *, since: datetime | None, before: int | None = None, limit: int) -> list[dict[str, Any]]:
    """Return units that no route took, the latest first; ``before`` continues behind the unit with this number.

    ``let_go`` is true where retention has removed images of the unit, so that it cannot be routed again.
    """
    return reader.read(_LIST, {"since": since, "before": before, "limit": limit})
