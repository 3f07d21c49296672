"""Exports results for other systems: one row per finding, with the fields of the public interface."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.engine import Database
from db.row_values import row_to_json

FETCH_ROWS = 500
FIELDS = (
    "study_instance_uid", "series_instance_uid", "sop_instance_uid", "accession_number", "patient_id", "modality", "job_id", "job_state",
    "outcome", "reason", "revision", "model", "model_version", "model_digest", "finding", "finding_code", "probability", "tier",
    "measurements", "sr_sop_instance_uid", "deliveries", "received_at", "completed_at", "completion_evidence", "inferred_at", "reported_at",
)  # fmt: skip
_LOCATION = ("score", "position_mm", "diameter_mm", "image_sop_instance_uid", "frame", "image_point")
_ROWS = text("""
    SELECT * FROM v_findings
    WHERE CAST(:since AS timestamptz) IS NULL OR ended_at >= :since
    ORDER BY ended_at, job_id, ordinal
""")


def export_findings(database: Database, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Yield one dict of JSON types per finding, with the keys ``FIELDS``; one with an empty finding for a unit without findings.

    ``outcome`` is None where a job failed (``reason`` says why); ``job_id`` is None where no route took the unit.
    ``measurements`` is an object: score, position_mm (LPS), diameter_mm, image, frame, image_point where known, and ``items``.
    """
    with database.begin() as connection:
        for row in connection.execution_options(yield_per=FETCH_ROWS).execute(_ROWS, {"since": since}):
            values = row_to_json(row)
            values["measurements"] = _measurements(values)
            values["finding"] = values["finding"] or ""
            yield {name: values[name] for name in FIELDS}


def _measurements(values: dict[str, Any]) -> dict[str, Any]:
    """Return location and measurements of one finding; empty where there are none."""
    location = {name: values[name] for name in _LOCATION if values[name] not in (None, "")}
    items = [
        {
            "name": item["name"]["meaning"],
            "code": f"{item['name']['scheme']}:{item['name']['value']}",
            "value": item["value"],
            "unit": item["unit"]["value"],
        }
        for item in values["measurements"] or ()
    ]
    return location | ({"items": items} if items else {})
