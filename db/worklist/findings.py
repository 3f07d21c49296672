"""Findings of results that count, by pages (keyset on the number of the finding) and filters. Reading them is an audit event."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import text

from db import audit
from db.engine import Database

_CONDITIONS = {
    "label": "f.label = :label",
    "model": "j.model = :model",
    "tier": "f.tier = :tier",
    "since": "st.first_received_at >= :since",
    "until": "st.first_received_at < CAST(:until AS date) + 1",
}


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """What the list is narrowed to; an empty value narrows nothing. ``since`` and ``until`` are days on which studies were received."""

    label: str = ""
    model: str = ""
    tier: str = ""
    since: date | None = None
    until: date | None = None


def list_findings(database: Database, wanted: FindingFilter, *, before: int | None, limit: int, viewer: str, address: str) -> list[Any]:
    """Return up to ``limit`` findings with study and job, the newest first, and record which studies ``viewer`` has seen."""
    values: dict[str, Any] = {name: getattr(wanted, name) for name in _CONDITIONS if getattr(wanted, name)}
    conditions = ["NOT j.shadow", "j.state NOT IN ('superseded', 'cancelled')", *(_CONDITIONS[name] for name in values)]
    if before is not None:
        conditions.append("f.id < :before")
        values["before"] = before
    statement = text(f"""
        SELECT f.*, st.id AS study_id, st.study_instance_uid, se.series_instance_uid, st.patient_id, st.accession_number,
               j.model, j.model_version, j.pipeline_digest AS model_digest, j.reported_at
        FROM findings f JOIN jobs j ON j.id = f.job_id JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id
        JOIN studies st ON st.id = se.study_id WHERE {" AND ".join(conditions)} ORDER BY f.id DESC LIMIT :limit
    """)
    with database.begin() as connection:
        found = list(connection.execute(statement, {**values, "limit": limit}))
        if found:
            details = {"from": address, "studies": sorted({row.study_id for row in found})}
            audit.record(connection, actor=viewer, action="findings.viewed", subject="worklist", details=details)
    return found
