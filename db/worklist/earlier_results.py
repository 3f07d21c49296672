"""Results of earlier studies of the same patient by the same model, which the study page shows beside the findings."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from core.policy.priors.same_patient import IdentityDoubt, Person, doubt_between, doubt_of_id
from db import audit
from db.engine import Database

MOST = 5  # of each model
MOST_CANDIDATES = 50  # of each model, before those of other persons are left out

_PERSON = text("""
    SELECT patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex FROM studies WHERE id = :id
""")
# Of the same Patient ID. Earlier: by the date of the study, else by the day it was received.
_EARLIER = text("""
    WITH this AS (SELECT *, coalesce(nullif(study_date, ''), to_char(first_received_at, 'YYYYMMDD')) AS day FROM studies WHERE id = :id),
    results AS (
        SELECT st.id AS study_id, st.study_date, st.first_received_at, st.study_description, dated.day, j.id AS job_id, j.model,
               st.patient_id, st.issuer_of_patient_id, st.patient_name, st.patient_birth_date, st.patient_sex,
               j.model_version, j.outcome, j.reason, row_number() OVER (PARTITION BY j.model ORDER BY dated.day DESC, j.id DESC) AS place
        FROM this JOIN studies st ON st.patient_id = this.patient_id AND st.id <> this.id
            AND (st.issuer_of_patient_id = this.issuer_of_patient_id OR '' IN (st.issuer_of_patient_id, this.issuer_of_patient_id))
        CROSS JOIN LATERAL (SELECT coalesce(nullif(st.study_date, ''), to_char(st.first_received_at, 'YYYYMMDD')) AS day) AS dated
        JOIN series se ON se.study_id = st.id JOIN units u ON u.series_id = se.id
        JOIN jobs j ON j.unit_id = u.id AND NOT j.shadow AND j.state NOT IN ('superseded', 'cancelled') AND j.outcome IS NOT NULL
        WHERE j.model = ANY(:models) AND (dated.day, st.id) < (this.day, this.id))
    SELECT r.*, found.findings FROM results r
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(jsonb_build_object('meaning', f.code_meaning, 'tier', f.tier, 'probability', f.probability,
                                                     'score', f.score, 'diameter_mm', f.diameter_mm) ORDER BY f.ordinal), '[]') AS findings
        FROM findings f WHERE f.job_id = r.job_id) AS found
    WHERE r.place <= :most ORDER BY r.day DESC, r.job_id DESC
""")


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """One result; each of ``findings`` has meaning, tier, probability, score and diameter_mm, as the columns of the table.

    ``same_id_only``: nothing beside the Patient ID shows that the study is of the same person, and nothing speaks against it.
    """

    study_id: int
    day: str
    study_description: str
    job_id: int
    model: str
    model_version: str
    outcome: str
    reason: str
    findings: tuple[dict[str, Any], ...]
    same_id_only: bool = False


def read_earlier_results(
    database: Database, study_id: int, models: list[str], *, viewer: str, address: str
) -> dict[str, list[EarlierResult]]:
    """Return up to `MOST` results for each model, the latest first, and record that ``viewer`` has seen their studies.

    There is none where the Patient ID of the study does not say who the person is (`core.policy.priors.same_patient.doubt_of_id`).
    """
    found: dict[str, list[EarlierResult]] = {}
    with database.begin() as connection:
        study = connection.execute(_PERSON, {"id": study_id}).one_or_none()  # None: it was erased at this moment
        if study is None or doubt_of_id(study.patient_id) is not None:
            return {}
        for row in connection.execute(_EARLIER, {"id": study_id, "models": models, "most": MOST_CANDIDATES}):
            doubt, of_model = doubt_between(_person(study), _person(row)), found.setdefault(row.model, [])
            if doubt not in (None, IdentityDoubt.NOTHING_ELSE) or len(of_model) == MOST:
                continue
            result = EarlierResult(
                row.study_id, row.day, row.study_description, row.job_id, row.model, row.model_version, row.outcome, row.reason,
                tuple(row.findings), doubt is not None,
            )  # fmt: skip
            of_model.append(result)
        if studies := sorted({result.study_id for results in found.values() for result in results}):
            details = {"from": address, "studies": studies, "beside": study_id}
            audit.record(connection, actor=viewer, action="earlier_results.viewed", subject="worklist", details=details)
    return found


def _person(row: Any) -> Person:
    return Person(row.patient_id, row.issuer_of_patient_id, row.patient_name, row.patient_birth_date, row.patient_sex)
