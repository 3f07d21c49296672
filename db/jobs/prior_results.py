"""The earlier results with which the result of a job is compared: chosen once, in the transaction of the first attempt, and read by all.

What is chosen is stored with the job, and what could change later is stored with it: which findings a clinician had rejected, and which
report each destination had stored. Findings of a result never change. So every attempt says the same (docs/decisions/0053).
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from core.concepts.codes import LATERALITY, LONG_AXIS, SHORT_AXIS, TOPOGRAPHICAL_MODIFIER, VOLUME
from core.policy.priors.choice import Examination, PriorCandidate, PriorRule, choose_priors
from core.policy.priors.comparison import mean_axis_mm
from core.records import OrganPlace, PriorFinding, PriorResult

MOST_CANDIDATES = 200  # results of one patient by one model, the newest

_OPEN = text("""
    SELECT j.id, j.model, j.prior_rule, se.study_id, st.study_date, st.study_time, se.modality, se.body_part_examined, se.series_description
    FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE j.id = ANY(:ids) AND j.prior_rule IS NOT NULL AND j.priors_chosen_at IS NULL AND j.failure_state IS NULL ORDER BY j.id
""")
# The same patient: as in `db.worklist.earlier_results`. A result that waits for a verdict is not disclosed by another one, and one of a
# retired version is reported no more.
_CANDIDATES = text("""
    SELECT o.id, st.id AS study_id, st.study_date, st.study_time, se.modality, se.body_part_examined, se.series_description,
           o.model_version, o.pipeline_digest, (SELECT count(*) FROM findings f WHERE f.job_id = o.id) AS findings,
           ARRAY(SELECT f.ordinal FROM findings f JOIN verdicts v ON v.finding_id = f.id
                 WHERE f.job_id = o.id AND v.verdict = 'rejected' AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id)
                 ORDER BY f.ordinal) AS rejected
    FROM studies this JOIN studies st ON st.patient_id = this.patient_id AND st.issuer_of_patient_id = this.issuer_of_patient_id
        AND st.id <> this.id AND st.study_date <= this.study_date
        AND (st.patient_birth_date = this.patient_birth_date OR '' IN (st.patient_birth_date, this.patient_birth_date))
    JOIN series se ON se.study_id = st.id JOIN units u ON u.series_id = se.id AND u.kind = 'series'
    JOIN jobs o ON o.unit_id = u.id AND o.model = :model AND NOT o.shadow AND o.state IN ('reported', 'delivered')
        AND o.outcome IN ('findings', 'no_finding')
    WHERE this.id = :study_id AND this.patient_id <> '' AND st.study_date <> ''
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.job_id = o.id AND d.awaiting_verdict AND d.state = 'held')
      AND NOT EXISTS (SELECT FROM models m WHERE m.digest = o.pipeline_digest AND m.state = 'retired')
    ORDER BY st.study_date DESC, st.study_time DESC, o.id DESC LIMIT :most
""")
_REPORTS = text("""
    SELECT DISTINCT ON (d.job_id, d.destination) d.job_id, d.destination, r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid
    FROM deliveries d JOIN reports r ON r.id = d.report_id AND r.kind = 'sr'
    WHERE d.job_id = ANY(:ids) AND d.state IN ('stored', 'committed') ORDER BY d.job_id, d.destination, r.id DESC
""")
_ADD = text("""
    INSERT INTO job_priors (job_id, place, prior_job_id, model_version, pipeline_digest, study_date, study_time, days, rejected, reports)
    VALUES (:job_id, :place, :prior_job_id, :model_version, :pipeline_digest, :study_date, :study_time, :days, :rejected,
            CAST(:reports AS jsonb))
""")
_CHOSEN = text("UPDATE jobs SET priors_chosen_at = node_now() WHERE id = :id")
# Waits for an erasure that deletes one of them at this moment (`db.patients.erasure`), and returns those that are still there.
_STILL_THERE = text("SELECT id FROM jobs WHERE id = ANY(:ids) ORDER BY id FOR KEY SHARE")
_FORGET = text("DELETE FROM job_priors WHERE job_id = :id")
_NOT_CHOSEN = text("UPDATE jobs SET priors_chosen_at = NULL WHERE id = :id AND priors_chosen_at IS NOT NULL")
_PRIORS = text("""
    SELECT p.*, o.outcome, st.study_instance_uid FROM job_priors p JOIN jobs o ON o.id = p.prior_job_id
    JOIN units u ON u.id = o.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE p.job_id = ANY(:ids) ORDER BY p.job_id, p.place
""")
_FINDINGS = text("SELECT * FROM findings WHERE job_id = ANY(:ids) ORDER BY job_id, ordinal")


def choose_prior_results(connection: Connection, ids: Sequence[int]) -> None:
    """Choose for those of the jobs that have a rule and no choice yet; without effect on the others. The caller has locked the jobs."""
    for job in connection.execute(_OPEN, {"ids": list(ids)}).all():
        values = {"study_id": job.study_id, "model": job.model, "most": MOST_CANDIDATES}
        rows = {row.id: row for row in connection.execute(_CANDIDATES, values)}
        candidates = [PriorCandidate(row.id, row.study_id, _examination(row), row.findings, tuple(row.rejected)) for row in rows.values()]
        chosen = choose_priors(prior_rule(job.prior_rule), _examination(job), candidates)
        kept = set(connection.execute(_STILL_THERE, {"ids": [one.candidate.job_id for one in chosen]}).scalars()) if chosen else set()
        reports = _stored_reports(connection, sorted(kept))
        for place, one in enumerate((one for one in chosen if one.candidate.job_id in kept), 1):
            row = rows[one.candidate.job_id]
            connection.execute(
                _ADD,
                {
                    "job_id": job.id,
                    "place": place,
                    "prior_job_id": row.id,
                    "model_version": row.model_version,
                    "pipeline_digest": row.pipeline_digest,
                    "study_date": row.study_date.strip(),
                    "study_time": row.study_time.strip(),
                    "days": one.days,
                    "rejected": list(row.rejected),
                    "reports": json.dumps(reports[row.id]),
                },
            )
        connection.execute(_CHOSEN, {"id": job.id})


def forget_prior_results(connection: Connection, job_id: int) -> None:
    """Forget the choice of a job whose first attempt is given back and does not count: the next one is the first, and chooses."""
    if connection.execute(_NOT_CHOSEN, {"id": job_id}).rowcount:
        connection.execute(_FORGET, {"id": job_id})


def prior_rule(stored: dict[str, Any]) -> PriorRule:
    """Return the rule of a job from its column."""
    return PriorRule(stored["count"], stored["within_days"], tuple(stored["same"]))


def read_prior_results(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[PriorResult, ...]]:
    """Return the results that were chosen for these jobs, with their findings; jobs without any are left out."""
    rows = connection.execute(_PRIORS, {"ids": list(ids)}).all()
    findings: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(_FINDINGS, {"ids": sorted({row.prior_job_id for row in rows})}) if rows else ():
        findings[row.job_id].append(row)
    found: dict[int, list[PriorResult]] = defaultdict(list)
    for row in rows:
        of_result = tuple(_prior_finding(one, one.ordinal in row.rejected) for one in findings[row.prior_job_id])
        reports = {name: (uids[0], uids[1], uids[2]) for name, uids in row.reports.items()}
        found[row.job_id].append(
            PriorResult(
                row.prior_job_id, row.model_version, row.pipeline_digest, row.study_instance_uid, row.study_date, row.study_time,
                row.days, row.outcome, of_result, reports,
            )
        )  # fmt: skip
    return {id: tuple(priors) for id, priors in found.items()}


def _examination(row: Any) -> Examination:
    attributes = {"Modality": row.modality, "BodyPartExamined": row.body_part_examined, "SeriesDescription": row.series_description}
    return Examination(row.study_date, row.study_time, attributes)


def _stored_reports(connection: Connection, ids: list[int]) -> dict[int, dict[str, list[str]]]:
    """The report of each result that each destination has stored; of several the last one."""
    found: dict[int, dict[str, list[str]]] = {id: {} for id in ids}
    for row in connection.execute(_REPORTS, {"ids": ids}) if ids else ():
        found[row.job_id][row.destination] = [row.sop_class_uid, row.sop_instance_uid, row.series_instance_uid]
    return found


def _prior_finding(row: Any, rejected: bool) -> PriorFinding:
    """A finding of an earlier result from its row."""
    values = {item["name"]["value"]: float(item["value"]) for item in row.measurements}
    evaluated = {item["name"]["value"]: str(item["value"]["meaning"]) for item in row.evaluations}
    side, zone = evaluated.get(LATERALITY.value, ""), evaluated.get(TOPOGRAPHICAL_MODIFIER.value, "")
    site = zone or ("" if row.site is None else str(row.site["meaning"]))
    return PriorFinding(
        number=row.ordinal,
        label=row.label,
        meaning=row.code_meaning,
        diameter_mm=row.diameter_mm,
        mean_axis_mm=mean_axis_mm(values.get(LONG_AXIS.value), values.get(SHORT_AXIS.value)),
        volume_mm3=values.get(VOLUME.value),
        where=", ".join(part for part in (site, side.lower()) if part),
        side=side,
        place=None if row.organ_place is None else _organ_place(**row.organ_place),
        rejected=rejected,
    )


def _organ_place(share: list[float], extent_mm: list[float]) -> OrganPlace:
    x, y, z = share
    width, depth, height = extent_mm
    return OrganPlace((x, y, z), (width, depth, height))
