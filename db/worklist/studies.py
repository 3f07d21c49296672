"""The worklist: one line per study, the last received first, by pages (keyset) and filters.

A page is found on the primary key of ``studies``, and its lines are computed for that page alone, so that its cost does not grow with the
number of studies. A filter that few studies pass reads more of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from core.states import Tier
from db.engine import Database
from db.row_values import escape_like

PAGE = 50

STATES = ("failed", "receiving", "queued", "running", "reported", "delivered", "not_routed")
"""States of a study, by urgency for an operator: the first that one of its units has is shown."""

_UNITS = """
    SELECT count(*) AS units, count(*) FILTER (WHERE u.state = 'complete') AS complete, coalesce(sum(u.held), 0) AS instances,
           count(DISTINCT se.id) AS series, array_agg(DISTINCT se.modality) AS modalities, max(u.last_received_at) AS last_received_at,
           bool_or(u.state = 'open') AS receiving, array_remove(array_agg(DISTINCT nullif(u.reason, '')), NULL) AS reasons
    FROM series se JOIN units u ON u.series_id = se.id WHERE se.study_id = st.id
"""
_RESULTS = """
    SELECT array_agg(DISTINCT j.state) AS states, array_agg(DISTINCT j.outcome) AS outcomes, bool_or(j.priority = 'urgent') AS urgent,
           array_agg(DISTINCT j.model || ' ' || j.model_version) AS models, max(j.reported_at) AS reported_at
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
_JOB_EXISTS = """EXISTS (SELECT FROM series se JOIN units u ON u.series_id = se.id
    JOIN jobs j ON j.unit_id = u.id AND NOT j.shadow AND j.state NOT IN ('superseded', 'cancelled') WHERE se.study_id = st.id AND {})"""
_VERDICT_OPEN = """(j.awaiting_verdict <> '{}'
    OR (j.outcome = 'findings' AND EXISTS (SELECT FROM findings f WHERE f.job_id = j.id
        AND NOT EXISTS (SELECT FROM verdicts v WHERE v.finding_id = f.id)))
    OR (j.outcome = 'no_finding' AND NOT EXISTS (SELECT FROM verdicts v WHERE v.job_id = j.id AND v.verdict <> 'retracted'
        AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id))))"""
_OF_VERDICT = {
    "open": _JOB_EXISTS.format(_VERDICT_OPEN),
    "given": _JOB_EXISTS.format("EXISTS (SELECT FROM verdicts v WHERE v.job_id = j.id)"),
}
_CONDITIONS = {
    "text": """(st.patient_name ILIKE :text OR st.patient_id ILIKE :text OR st.accession_number ILIKE :text
                OR st.study_description ILIKE :text)""",
    "modality": "EXISTS (SELECT FROM series se WHERE se.study_id = st.id AND se.modality = :modality)",
    "model": _JOB_EXISTS.format("j.model = :model"),
    "outcome": _JOB_EXISTS.format("j.outcome = :outcome"),
    "tier": _JOB_EXISTS.format("EXISTS (SELECT FROM findings f WHERE f.job_id = j.id AND f.tier = :tier)"),
    "finding": _JOB_EXISTS.format("EXISTS (SELECT FROM findings f WHERE f.job_id = j.id AND f.label = :finding)"),
    "destination": _JOB_EXISTS.format("EXISTS (SELECT FROM deliveries d WHERE d.job_id = j.id AND d.destination = :destination)"),
    "since": "st.first_received_at >= :since",
    "until": "st.first_received_at < CAST(:until AS date) + 1",
}
_OF_STATE = {
    "failed": _JOB_EXISTS.format("j.state IN ('failed', 'quarantined')"),
    "queued": _JOB_EXISTS.format("j.state = 'queued'"),
    "running": _JOB_EXISTS.format("j.state = 'running'"),
    "reported": _JOB_EXISTS.format("j.state = 'reported'"),
    "delivered": _JOB_EXISTS.format("j.state = 'delivered'"),
    "receiving": "EXISTS (SELECT FROM series se JOIN units u ON u.series_id = se.id WHERE se.study_id = st.id AND u.state = 'open')",
    "not_routed": f"NOT {_JOB_EXISTS.format('true')}",
}


VERDICTS = tuple(_OF_VERDICT)
"""What a study can be narrowed to by verdicts: open (a result that a clinician has not judged, or that waits for it), given."""


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """What the worklist is narrowed to; an empty value narrows nothing. ``text`` is searched in name, ID, accession and description."""

    text: str = ""
    modality: str = ""
    model: str = ""
    outcome: str = ""
    tier: str = ""
    finding: str = ""
    destination: str = ""
    state: str = ""
    verdict: str = ""
    since: date | None = None
    until: date | None = None

    def conditions(self) -> tuple[list[str], dict[str, Any]]:
        """Return SQL conditions, and the values that they name."""
        values = {name: getattr(self, name) for name in _CONDITIONS if getattr(self, name)}
        conditions = [_CONDITIONS[name] for name in values]
        if "text" in values:
            values["text"] = f"%{escape_like(self.text)}%"
        if self.state in _OF_STATE:
            conditions.append(_OF_STATE[self.state])
        if self.verdict in _OF_VERDICT:
            conditions.append(_OF_VERDICT[self.verdict])
        return conditions, values


@dataclass(frozen=True, slots=True)
class StudyLine:
    """One line of the worklist. ``top`` is the finding with the highest tier; ``findings`` counts all."""

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
    statement = text(f"""
        SELECT st.*, units.*, results.*, top.label, top.code_meaning, top.probability, top.score, top.tier, top.findings
        FROM (SELECT st.* FROM studies st {where} ORDER BY st.id DESC LIMIT :limit) st
        CROSS JOIN LATERAL ({_UNITS}) units CROSS JOIN LATERAL ({_RESULTS}) results LEFT JOIN LATERAL ({_TOP}) top ON true
        ORDER BY st.id DESC
    """)
    with database.begin() as connection:
        return [_line(row._mapping) for row in connection.execute(statement, {**values, "limit": limit})]


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
        reasons=tuple(row["reasons"] or ()),
        findings=row["findings"] or 0,
        top=top,
    )


_CHOICES = {
    "models": "SELECT DISTINCT name FROM models ORDER BY name",
    "modalities": "SELECT DISTINCT modality FROM series WHERE modality <> '' ORDER BY modality LIMIT 50",
}


def filter_choices(database: Database) -> dict[str, list[str]]:
    """Return the values that the lists of the filters offer."""
    with database.begin() as connection:
        return {name: [str(value) for value in connection.execute(text(statement)).scalars()] for name, statement in _CHOICES.items()}
