"""Reads the cases of a trial: the answers of the version on trial and of the one that reported, clinicians' decisions, headers."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from core.policy.trial.cases import ANSWERED, ClinicalReference, TrialAnswer, TrialCase, TrialMark
from core.policy.trial.groups import describe_header
from core.states import JobState, Outcome
from db.engine import Database
from db.listings.unrouted import IMAGES_REMOVED
from db.row_values import header_from_json

_UNITS = text(f"""
    SELECT u.id, se.study_id, {IMAGES_REMOVED} AS images_removed,
           (SELECT i.header FROM instances i WHERE i.unit_id = u.id AND i.state = 'current' ORDER BY i.id LIMIT 1) AS header
    FROM units u JOIN series se ON se.id = u.series_id WHERE u.id = ANY(:units)
""")
_ANSWER = """
    SELECT DISTINCT ON (j.unit_id) j.unit_id, j.id AS job_id, j.model_version AS version, j.pipeline_digest AS digest, j.state, j.outcome,
           j.reason, j.prepare_s, j.infer_s, j.memory_mib, j.scanner
    FROM jobs j JOIN units u ON u.id = j.unit_id AND u.revision = j.revision
    WHERE j.unit_id = ANY(:units) AND j.state NOT IN ('superseded', 'cancelled') AND {}
    ORDER BY j.unit_id, j.id DESC
"""
_CANDIDATES = text(_ANSWER.format("j.pipeline_digest = :digest"))
# What counts as reported is the newest result of the model, as in the worklist; of several routes there is one job.
_REPORTED = text(_ANSWER.format("j.model = :model AND NOT j.shadow AND j.outcome IS NOT NULL"))
_FINDINGS = text("""
    SELECT job_id, id, label, position_mm, diameter_mm, coalesce(probability, score) AS probability
    FROM findings WHERE job_id = ANY(:jobs) ORDER BY job_id, ordinal
""")
# The decisions on the newest result of the present revision that anybody has judged, also where a later run has replaced it.
_JUDGED = text("""
    SELECT DISTINCT ON (j.unit_id) j.unit_id, j.id AS job_id, j.outcome
    FROM jobs j JOIN units u ON u.id = j.unit_id AND u.revision = j.revision
    WHERE j.unit_id = ANY(:units) AND j.model = :model AND NOT j.shadow
      AND EXISTS (SELECT FROM verdicts v WHERE v.job_id = j.id AND v.verdict <> 'retracted'
                  AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id))
    ORDER BY j.unit_id, j.id DESC
""")
_VERDICTS = text("""
    SELECT v.job_id, v.finding_id, v.verdict, v.label, v.position_mm, v.diameter_mm FROM verdicts v
    WHERE v.job_id = ANY(:jobs) AND v.verdict <> 'retracted' AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id)
    ORDER BY v.job_id, v.id
""")


def read_cases(database: Database, units: Sequence[int], *, model: str, digest: str) -> list[TrialCase]:
    """Return the cases of a trial of the pipeline ``digest`` of ``model``, in the order of ``units``: some hundred at a time."""
    values = {"units": list(units), "model": model, "digest": digest}
    with database.begin() as connection:
        rows = {row.id: row for row in connection.execute(_UNITS, values)}
        candidates = {row.unit_id: row for row in connection.execute(_CANDIDATES, values)}
        reported = {row.unit_id: row for row in connection.execute(_REPORTED, values)}
        judged = {row.unit_id: row for row in connection.execute(_JUDGED, values)}
        jobs = [row.job_id for row in (*candidates.values(), *reported.values())]
        judged_jobs = [row.job_id for row in judged.values()]
        findings = _findings(connection, [*jobs, *judged_jobs])
        verdicts = defaultdict(list)
        for row in connection.execute(_VERDICTS, {"jobs": judged_jobs}):
            verdicts[row.job_id].append(row)
    cases = []
    for id in units:
        if (unit := rows.get(id)) is None:
            continue
        candidate, result, decided = candidates.get(id), reported.get(id), judged.get(id)
        scanner = next((row.scanner for row in (result, candidate) if row is not None and row.scanner), "")
        reference = None
        if decided is not None:
            reference = _reference(decided.outcome, findings.get(decided.job_id, []), verdicts[decided.job_id])
        cases.append(
            TrialCase(
                unit_id=id,
                study_id=unit.study_id,
                candidate=None if candidate is None else _answer(candidate, findings),
                reported=None if result is None else _answer(result, findings),
                reference=reference,
                attributes=describe_header(header_from_json(unit.header), scanner),
                images_removed=unit.images_removed,
            )
        )
    return cases


def _findings(connection: Connection, jobs: Sequence[int]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(_FINDINGS, {"jobs": list(jobs)}):
        found[row.job_id].append(row)
    return found


def _answer(row: Any, findings: dict[int, list[Any]]) -> TrialAnswer:
    return TrialAnswer(
        job_id=row.job_id,
        version=row.version,
        digest=row.digest,
        state=JobState(row.state),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        reason=row.reason,
        marks=tuple(_mark(one) for one in findings.get(row.job_id, [])),
        prepare_s=row.prepare_s,
        infer_s=row.infer_s,
        memory_mib=row.memory_mib,
    )


def _mark(row: Any) -> TrialMark:
    position = None if row.position_mm is None else (row.position_mm[0], row.position_mm[1], row.position_mm[2])
    return TrialMark(row.label, position, row.diameter_mm, row.probability)


def _reference(outcome: str, findings: Sequence[Any], verdicts: Sequence[Any]) -> ClinicalReference:
    """What the current verdicts on one result say is there; a correction or an addition has only the values that it changes."""
    of_finding = {row.finding_id: row for row in verdicts if row.finding_id is not None}
    present, rejected = [], []
    for finding in findings:
        verdict = of_finding.get(finding.id)
        if verdict is None:
            continue
        mark = _mark(finding)
        if verdict.verdict == "rejected":
            rejected.append(mark)
        else:
            present.append(_corrected(mark, verdict))
    present += [_corrected(TrialMark(row.label), row) for row in verdicts if row.verdict == "missed"]
    # Who accepts that the model abstained, or did not analyse the unit, says nothing about the images.
    return ClinicalReference(tuple(present), tuple(rejected), whole=outcome in ANSWERED and len(of_finding) == len(findings))


def _corrected(mark: TrialMark, verdict: Any) -> TrialMark:
    position = mark.position_mm if verdict.position_mm is None else (verdict.position_mm[0], verdict.position_mm[1], verdict.position_mm[2])
    return TrialMark(verdict.label or mark.label, position, verdict.diameter_mm or mark.diameter_mm)
