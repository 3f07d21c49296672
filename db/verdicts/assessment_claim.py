"""Claims an assessment that is to be made, with everything that its encoder needs."""

from typing import Any

from sqlalchemy import Connection, text

from core.policy.verdicts import RejectionReason, VerdictKind
from core.records import Code, Finding, ModelIdentity, UnitInput
from core.states import Priority, Tier
from db.engine import Database
from db.verdicts.assessment_records import AssessedReport, ClaimedAssessment, JudgedFinding, StoredUids

_OUTDATED = text("""
    UPDATE assessments a SET state = 'superseded', token = NULL, lease_until = NULL, finished_at = node_now()
    FROM jobs j WHERE j.id = a.job_id
      AND (j.state = 'superseded' OR EXISTS (SELECT FROM assessments later WHERE later.job_id = a.job_id AND later.number > a.number))
      AND (a.state = 'queued' OR (a.state = 'encoding' AND a.lease_until < (SELECT node_now())))
""")
_CLAIM = text("""
    UPDATE assessments SET state = 'encoding', attempts = attempts + 1, token = gen_random_uuid(),
        lease_until = node_now() + make_interval(secs => :lease_s)
    WHERE id = (SELECT a.id FROM assessments a
                WHERE (a.state = 'queued' AND a.next_attempt_at <= (SELECT node_now()))
                   OR (a.state = 'encoding' AND a.lease_until < (SELECT node_now()))
                ORDER BY a.next_attempt_at, a.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id, token, attempts, number, job_id, last_verdict_id
""")
_JOB = text("""
    SELECT j.*, st.study_instance_uid,
           (SELECT CASE WHEN count(DISTINCT i.header ->> 'frame_of_reference_uid') = 1 AND bool_and(i.header ? 'frame_of_reference_uid')
                        THEN max(i.header ->> 'frame_of_reference_uid') ELSE '' END
            FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = j.id) AS frame_of_reference_uid
    FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE j.id = :id
""")
_INPUTS = text("""
    SELECT i.sop_instance_uid, i.sop_class_uid, i.sha256 FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id
    WHERE ji.job_id = :id ORDER BY i.id
""")
_VERDICTS = text("""
    SELECT v.*, f.ordinal, f.label AS found_label, f.code_value AS found_value, f.code_scheme AS found_scheme,
           f.code_meaning AS found_meaning
    FROM verdicts v LEFT JOIN findings f ON f.id = v.finding_id
    WHERE v.job_id = :id AND v.id <= :last AND v.verdict <> 'retracted'
      AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id AND later.id <= :last)
    ORDER BY f.ordinal NULLS LAST, v.id
""")
_REPORTS = text("""
    SELECT r.profile, r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid, r.sha256,
           (SELECT coalesce(array_agg(d.destination ORDER BY d.id), '{}') FROM deliveries d
            WHERE d.report_id = r.id AND d.state <> 'withdrawn' AND NOT (d.state = 'given_up' AND d.stored_at IS NULL)) AS destinations
    FROM reports r WHERE r.job_id = :id AND r.kind = 'sr' AND r.problems = '{}' ORDER BY r.id
""")
_EARLIER = text("""
    SELECT d.destination, r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid
    FROM reports r JOIN deliveries d ON d.report_id = r.id AND d.state IN ('stored', 'committed')
    WHERE r.job_id = :id AND r.kind = 'assessment' ORDER BY r.id
""")


def claim_assessment(database: Database, *, lease_s: float) -> ClaimedAssessment | None:
    """Lease the next assessment that is due, one whose lease has expired included; None if there is none.

    Assessments of results that a newer one has replaced are superseded, and those that wait for another attempt while there is a later one,
    which covers their verdicts too.
    """
    with database.begin() as connection:
        connection.execute(_OUTDATED)
        row = connection.execute(_CLAIM, {"lease_s": lease_s}).one_or_none()
        return None if row is None else _read(connection, row)


def _read(connection: Connection, row: Any) -> ClaimedAssessment:
    job = connection.execute(_JOB, {"id": row.job_id}).one()
    inputs = [
        UnitInput(item.sop_instance_uid, item.sop_class_uid, item.sha256, "") for item in connection.execute(_INPUTS, {"id": row.job_id})
    ]
    reports = [
        AssessedReport(
            item.profile, (item.sop_class_uid, item.sop_instance_uid, item.series_instance_uid), item.sha256, tuple(item.destinations)
        )
        for item in connection.execute(_REPORTS, {"id": row.job_id})
    ]
    earlier: dict[str, StoredUids] = {}
    for item in connection.execute(_EARLIER, {"id": row.job_id}):
        earlier[item.destination] = (item.sop_class_uid, item.sop_instance_uid, item.series_instance_uid)
    verdicts = connection.execute(_VERDICTS, {"id": row.job_id, "last": row.last_verdict_id}).all()
    return ClaimedAssessment(
        id=row.id,
        token=row.token,
        attempt=row.attempts,
        number=row.number,
        job_id=row.job_id,
        key=job.key,
        revision=job.revision,
        run=job.run,
        priority=Priority(job.priority),
        destinations=tuple(job.destinations),
        study_instance_uid=job.study_instance_uid,
        identity=ModelIdentity(**job.identity),
        inputs=tuple(inputs),
        frame_of_reference_uid=job.frame_of_reference_uid or "",
        judged=tuple(map(_judged, verdicts)),
        reports=tuple(reports),
        predecessors=earlier,
    )


def _judged(row: Any) -> JudgedFinding:
    kind = VerdictKind(row.verdict)
    missed = kind is VerdictKind.MISSED
    return JudgedFinding(
        kind=kind,
        verdict_id=row.id,
        user=row.user_name,
        at=row.at,
        number=None if missed else row.ordinal or 0,
        finding=_finding(row) if missed or row.ordinal is not None else None,
        reason=RejectionReason(row.reason) if row.reason else None,
    )


def _finding(row: Any) -> Finding:
    """Return the finding as it was judged: the class of the model or the corrected one, and what the clinician has marked."""
    x_y_z, point = row.position_mm, row.image_point
    changed = bool(row.label)
    return Finding(
        label=row.label if changed else row.found_label,
        code=Code(row.code_value, row.code_scheme, row.code_meaning)
        if changed
        else Code(row.found_value, row.found_scheme, row.found_meaning),
        tier=Tier.UNCERTAIN,
        position_mm=None if x_y_z is None else (x_y_z[0], x_y_z[1], x_y_z[2]),
        diameter_mm=row.diameter_mm,
        sop_instance_uid=row.sop_instance_uid,
        frame=row.frame,
        image_point=None if point is None else (point[0], point[1]),
    )
