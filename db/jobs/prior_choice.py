"""Chooses the earlier results with which the result of a job is compared, once, in the transaction of the first attempt.

What is chosen is stored with the job, and what could change later is stored with it: which findings a clinician had rejected, which report
each destination had stored, what was left out, and which result was superseded already. Findings of a result never change. So every
attempt says the same (docs/decisions/0053).
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, text

from core.policy.priors.choice import ChosenPrior, Examination, PriorCandidate, PriorRule, choose_priors
from core.policy.priors.same_patient import LeftOut, Person, doubt_between, doubt_of_id
from db.jobs.prior_results import LEFT_OUT, NEWER_ANSWER, SUPERSEDED, prior_rule

MOST_CANDIDATES = 200  # results of one patient by one model, the newest

_ATTRIBUTES = """st.patient_id, st.issuer_of_patient_id, st.patient_name, st.patient_birth_date, st.patient_sex, st.study_date,
    st.study_time, se.modality, se.body_part_examined, se.series_description"""
_OPEN = text(f"""
    SELECT j.id, j.model, j.prior_rule, se.study_id, {_ATTRIBUTES}
    FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE j.id = ANY(:ids) AND j.prior_rule IS NOT NULL AND j.priors_chosen_at IS NULL AND j.failure_state IS NULL ORDER BY j.id
""")
# Of the same Patient ID, and not of two different issuers; whether it is the same person is decided by `core.policy.priors.same_patient`.
# A superseded result counts until the job that takes its place has an answer: it is the last one that destinations have. A result that
# waits for a verdict, or that did when it was superseded, is not disclosed by another one. One of a retired version is reported no more.
_CANDIDATES = text(f"""
    SELECT o.id, st.id AS study_id, o.model_version, o.pipeline_digest, o.state = 'superseded' AS superseded, {_ATTRIBUTES},
           (SELECT count(*) FROM findings f WHERE f.job_id = o.id) AS findings,
           ARRAY(SELECT f.ordinal FROM findings f JOIN verdicts v ON v.finding_id = f.id
                 WHERE f.job_id = o.id AND v.verdict = 'rejected' AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id)
                 ORDER BY f.ordinal) AS rejected
    FROM studies this JOIN studies st ON st.patient_id = this.patient_id AND st.id <> this.id AND st.study_date <= this.study_date
        AND (st.issuer_of_patient_id = this.issuer_of_patient_id OR '' IN (st.issuer_of_patient_id, this.issuer_of_patient_id))
    JOIN series se ON se.study_id = st.id JOIN units u ON u.series_id = se.id AND u.kind = 'series'
    JOIN jobs o ON o.unit_id = u.id AND o.model = :model AND NOT o.shadow AND o.outcome IN ('findings', 'no_finding')
        AND (o.state IN ('reported', 'delivered') OR o.state = 'superseded'
             AND EXISTS (SELECT FROM jobs n WHERE n.unit_id = o.unit_id AND n.model = o.model AND NOT n.shadow AND n.id > o.id
                         AND n.state <> 'superseded')
             AND NOT {NEWER_ANSWER})
    WHERE this.id = :study_id AND st.study_date <> ''
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.job_id = o.id AND d.awaiting_verdict AND d.state IN ('held', 'withdrawn'))
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
_CHOSEN = text("UPDATE jobs SET priors_chosen_at = node_now(), prior_rule = prior_rule || CAST(:found AS jsonb) WHERE id = :id")
# Waits for an erasure that deletes one of them at this moment (`db.patients.erasure`), and returns those that are still there.
_STILL_THERE = text("SELECT id FROM jobs WHERE id = ANY(:ids) ORDER BY id FOR KEY SHARE")
_FORGET = text("DELETE FROM job_priors WHERE job_id = :id")
_NOT_CHOSEN = text(f"""
    UPDATE jobs SET priors_chosen_at = NULL, prior_rule = prior_rule - '{LEFT_OUT}' - '{SUPERSEDED}'
    WHERE id = :id AND priors_chosen_at IS NOT NULL
""")


def choose_prior_results(connection: Connection, ids: Sequence[int]) -> None:
    """Choose for those of the jobs that have a rule and no choice yet; without effect on the others. The caller has locked the jobs."""
    for job in connection.execute(_OPEN, {"ids": list(ids)}).all():
        rows, chosen, left_out = _choose(connection, job)
        kept = set(connection.execute(_STILL_THERE, {"ids": [one.candidate.job_id for one in chosen]}).scalars()) if chosen else set()
        reports = _stored_reports(connection, sorted(kept))
        superseded = []
        for place, one in enumerate((one for one in chosen if one.candidate.job_id in kept), 1):
            row = rows[one.candidate.job_id]
            if row.superseded:
                superseded.append(place)
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
        found: dict[str, Any] = {LEFT_OUT: dict(left_out)} if left_out else {}
        found |= {SUPERSEDED: superseded} if superseded else {}
        connection.execute(_CHOSEN, {"id": job.id, "found": json.dumps(found)})


def forget_prior_results(connection: Connection, job_id: int) -> None:
    """Forget the choice of a job whose first attempt is given back and does not count: the next one is the first, and chooses."""
    if connection.execute(_NOT_CHOSEN, {"id": job_id}).rowcount:
        connection.execute(_FORGET, {"id": job_id})


def _choose(connection: Connection, job: Any) -> tuple[dict[int, Any], tuple[ChosenPrior, ...], LeftOut]:
    """Return the rows of the candidates, the chosen ones, and how many the rule would have chosen, were they surely of the patient."""
    rule, this, person = prior_rule(job.prior_rule), _examination(job), _person(job)
    if doubt := doubt_of_id(person.patient_id):
        return {}, (), ((doubt, 0),)
    values = {"study_id": job.study_id, "model": job.model, "most": MOST_CANDIDATES}
    rows = {row.id: row for row in connection.execute(_CANDIDATES, values)}
    doubts = {id: doubt_between(person, _person(row), unique_ids=rule.unique_ids) for id, row in rows.items()}
    candidates = [PriorCandidate(row.id, row.study_id, _examination(row), row.findings, tuple(row.rejected)) for row in rows.values()]
    chosen = choose_priors(rule, this, (one for one in candidates if doubts[one.job_id] is None))
    doubtful = choose_priors(_all_of(rule), this, (one for one in candidates if doubts[one.job_id] is not None))
    left_out = Counter(doubt for one in doubtful if (doubt := doubts[one.candidate.job_id]) is not None)
    return rows, chosen, tuple(sorted(left_out.items()))


def _all_of(rule: PriorRule) -> PriorRule:
    return replace(rule, count=MOST_CANDIDATES)


def _person(row: Any) -> Person:
    return Person(row.patient_id, row.issuer_of_patient_id, row.patient_name, row.patient_birth_date, row.patient_sex)


def _examination(row: Any) -> Examination:
    attributes = {"Modality": row.modality, "BodyPartExamined": row.body_part_examined, "SeriesDescription": row.series_description}
    return Examination(row.study_date, row.study_time, attributes)


def _stored_reports(connection: Connection, ids: list[int]) -> dict[int, dict[str, list[str]]]:
    """The report of each result that each destination has stored; of several the last one."""
    found: dict[int, dict[str, list[str]]] = {id: {} for id in ids}
    for row in connection.execute(_REPORTS, {"ids": ids}) if ids else ():
        found[row.job_id][row.destination] = [row.sop_class_uid, row.sop_instance_uid, row.series_instance_uid]
    return found
