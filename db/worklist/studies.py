"""The worklist: one line per study, the last received first, by pages (keyset) and filters.

The numbers of a page are found first (`db.worklist.study_numbers`), and its lines are computed for that page alone, so that their cost
does not grow with the number of studies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text

from core.states import OPEN_JOB_STATES, Tier
from db.engine import Database
from db.worklist.study_filter import StudyFilter
from db.worklist.study_numbers import find_numbers

PAGE = 50

STATES = ("failed", "receiving", "queued", "running", "reported", "delivered", "not_routed")
"""States of a study, by urgency for an operator: the first that one of its units has is shown."""

_UNITS = """
    SELECT count(*) AS units, count(*) FILTER (WHERE u.state = 'complete') AS complete, coalesce(sum(u.held), 0) AS instances,
           count(DISTINCT se.id) AS series, array_agg(DISTINCT se.modality) AS modalities, max(u.last_received_at) AS last_received_at,
           bool_or(u.state = 'open') AS receiving, array_remove(array_agg(DISTINCT nullif(u.reason, '')), NULL) AS reasons,
           array_agg(DISTINCT u.reason) FILTER (WHERE u.state = 'open' AND u.reason <> '') AS unreadable
    FROM series se JOIN units u ON u.series_id = se.id WHERE se.study_id = st.id
"""
_RESULTS = """
    SELECT array_agg(DISTINCT j.state) AS states, array_agg(DISTINCT j.outcome) AS outcomes, bool_or(j.priority = 'urgent') AS urgent,
           array_agg(DISTINCT j.model || ' ' || j.model_version) AS models, max(j.reported_at) AS reported_at,
           bool_or(j.outcome IS NOT NULL AND j.revision < u.revision) AS newer_images,
           array_agg(DISTINCT j.reason) FILTER (WHERE j.state IN ('failed', 'quarantined') AND j.reason <> '') AS failures
    FROM series se JOIN units u ON u.series_id = se.id
    JOIN jobs j ON j.unit_id = u.id AND NOT j.shadow AND j.state NOT IN ('superseded', 'cancelled') WHERE se.study_id = st.id
"""
_TOP = """
    SELECT f.label, f.code_meaning, f.probability, f.score, f.tier, count(*) OVER () AS findings
    FROM series se JOIN units u ON u.series_id = se.id
    JOIN jobs j ON j.unit_id = u.id AND NOT j.shadow AND j.state NOT IN ('superseded', 'cancelled') JOIN findings f ON f.job_id = j.id
    WHERE se.study_id = st.id
    ORDER BY array_position(ARRAY['high', 'review', 'uncertain'], f.tier), coalesce(f.probability, f.score) DESC NULLS LAST LIMIT 1
"""
_LINES = text(f"""
    SELECT st.*, units.*, results.*, top.label, top.code_meaning, top.probability, top.score, top.tier, top.findings
    FROM studies st
    CROSS JOIN LATERAL ({_UNITS}) units CROSS JOIN LATERAL ({_RESULTS}) results LEFT JOIN LATERAL ({_TOP}) top ON true
    WHERE st.id = ANY(:ids) ORDER BY st.id DESC
""")


@dataclass(frozen=True, slots=True)
class StudyLine:
    """One line of the worklist. ``top`` is the finding with the highest tier; ``findings`` counts all.

    ``reasons``: why jobs failed, else why images of open units cannot be read (``unreadable``), else why units were not analysed.
    ``under_way``: a further result is expected, whatever ``state`` is.
    ``newer_images``: images have arrived or changed since one of the results was made.
    """

    id: int
    study_instance_uid: str
    patient_name: str
    patient_id: str
    accession_number: str
    study_description: str
    study_date: str
    first_received_at: datetime
    last_received_at: datetime | None
    reported_at: datetime | None
    modalities: tuple[str, ...]
    series: int
    units: int
    complete: int
    instances: int
    state: str
    outcomes: tuple[str, ...]
    models: tuple[str, ...]
    urgent: bool
    reasons: tuple[str, ...]
    under_way: bool
    newer_images: bool
    unreadable: bool = False
    findings: int = 0
    top: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tier(self) -> Tier | None:
        """The highest tier of its findings."""
        return Tier(self.top["tier"]) if self.top else None


def list_studies(
    database: Database, wanted: StudyFilter, *, before: int | None = None, among: Sequence[int] | None = None, limit: int = PAGE
) -> list[StudyLine]:
    """Return up to ``limit`` studies, the last received first; ``before`` continues behind the study with this number.

    ``among``: only studies with these numbers.
    """
    conditions, values = wanted.conditions()
    if among is not None:
        conditions.append("st.id = ANY(:among)")
        values["among"] = list(among)
    if before is not None:
        conditions.append("st.id < :before")
        values["before"] = before
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    with database.begin() as connection:
        kind = wanted.newest_kind if among is None and before is None else ""
        ids = find_numbers(
            connection, where, {**values, "limit": limit, "before": before}, recent=bool(wanted.narrows and among is None), kind=kind
        )
        return [_line(row._mapping) for row in connection.execute(_LINES, {"ids": ids})] if ids else []


def _line(row: Mapping[Any, Any]) -> StudyLine:
    states = set(row["states"] or ())
    present = {
        "failed": bool(states & {"failed", "quarantined"}),
        "receiving": bool(row["receiving"]),
        "not_routed": not states,
        **{name: name in states for name in ("queued", "running", "reported", "delivered")},
    }
    top = {} if row["tier"] is None else {name: row[name] for name in ("label", "code_meaning", "probability", "score", "tier")}
    return StudyLine(
        id=row["id"],
        study_instance_uid=row["study_instance_uid"],
        patient_name=row["patient_name"],
        patient_id=row["patient_id"],
        accession_number=row["accession_number"],
        study_description=row["study_description"],
        study_date=row["study_date"],
        first_received_at=row["first_received_at"],
        last_received_at=row["last_received_at"],
        reported_at=row["reported_at"],
        modalities=tuple(sorted(name for name in row["modalities"] or () if name)),
        series=row["series"],
        units=row["units"],
        complete=row["complete"],
        instances=row["instances"],
        state=next(state for state in STATES if present[state]),
        outcomes=tuple(sorted(name for name in row["outcomes"] or () if name)),
        models=tuple(row["models"] or ()),
        urgent=bool(row["urgent"]),
        reasons=tuple(row["failures"] or row["unreadable"] or row["reasons"] or ()),
        unreadable=bool(row["unreadable"]),
        under_way=present["receiving"] or not states.isdisjoint(OPEN_JOB_STATES),
        newer_images=bool(row["newer_images"]),
        findings=row["findings"] or 0,
        top=top,
    )


# The next greater value again and again: one look into the index for each value, not a scan of the table.
_DISTINCT = """
    WITH RECURSIVE found (value) AS (
        (SELECT {column} FROM {table} WHERE {column} > '' ORDER BY {column} LIMIT 1)
        UNION ALL SELECT (SELECT t.{column} FROM {table} t WHERE t.{column} > found.value ORDER BY t.{column} LIMIT 1)
        FROM found WHERE found.value IS NOT NULL)
    SELECT value FROM found WHERE value IS NOT NULL LIMIT 50
"""
_CHOICES = {
    "models": "SELECT DISTINCT name FROM models ORDER BY name",
    "modalities": _DISTINCT.format(table="series", column="modality"),
    "findings": """WITH RECURSIVE found (tier, label) AS (
            SELECT tier, (SELECT min(label) FROM findings f WHERE f.tier = tiers.tier)
            FROM unnest(ARRAY['high', 'review', 'uncertain']) AS tiers (tier)
            UNION ALL SELECT found.tier, (SELECT min(f.label) FROM findings f WHERE f.tier = found.tier AND f.label > found.label)
            FROM found WHERE found.label IS NOT NULL)
        SELECT DISTINCT label FROM found WHERE label IS NOT NULL ORDER BY label LIMIT 100""",
    "destinations": """SELECT labels[1] FROM counters WHERE name = 'deliveries'
        UNION SELECT labels[1] FROM counter_changes WHERE name = 'deliveries' ORDER BY 1 LIMIT 100""",
}


# One round trip for all lists.
_ALL_CHOICES = text("SELECT " + ", ".join(f"ARRAY({statement}) AS {name}" for name, statement in _CHOICES.items()))


def filter_choices(database: Database) -> dict[str, list[str]]:
    """Return the values that the lists of the filters offer."""
    with database.begin() as connection:
        return {name: list(values) for name, values in connection.execute(_ALL_CHOICES).mappings().one().items()}
