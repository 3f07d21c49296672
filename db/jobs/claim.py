"""Claims jobs by compare-and-set: takes the lease, writes the attempt before its work begins, and reads all that a worker needs.

There are two kinds of attempt: the analysis of a queued job, and the report that says why a job was not analysed (`db.jobs.not_analysed`).
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from core.failpoints import failpoint
from core.records import PriorResult, UnitInput
from core.states import JobState, Priority, UnitKind
from db.engine import Database
from db.jobs.job_records import ClaimedJob, StoredElsewhere
from db.jobs.prior_choice import choose_prior_results
from db.jobs.prior_results import left_out_results, prior_rule, read_prior_results, slice_thicknesses_mm
from db.operations.pauses import JOB_NOT_PAUSED

# A job whose unit has a newer revision is not claimed: it will be superseded. Nor is a job while an object of its predecessor is being
# sent: whether the destination stores that object decides what the new report names.
# A job that is compared with earlier results is not claimed while a job of its model on an earlier study of the patient runs, unless that
# is less urgent: both studies may have come together, and the next series is claimed while one is computed (`workers.attempt.prefetch`).
# `= ANY(ARRAY(...))` executes the inner query once. With `IN (...)` some plans execute it again for each row, and exceed the limit.
_CLAIM = """
    UPDATE jobs SET state = 'running', token = gen_random_uuid(), worker = :worker, {counted} = {counted} + 1,
        lease_until = node_now() + make_interval(secs => :lease_s), started_at = node_now()
    WHERE id = ANY(ARRAY(SELECT due.id FROM (
        SELECT j.id, j.pipeline_digest, j.attempts, u.kind
        FROM jobs j JOIN units u ON u.id = j.unit_id AND u.revision = j.revision AND u.state = 'complete'
        WHERE {due} AND j.next_attempt_at <= (SELECT node_now())
          AND (CAST(:priorities AS text[]) IS NULL OR j.priority = ANY(:priorities))
          AND (CAST(:models AS text[]) IS NULL OR j.model = ANY(:models))
          AND (CAST(:job_id AS bigint) IS NULL OR j.id = :job_id)
          AND NOT EXISTS (SELECT FROM jobs o JOIN deliveries d ON d.job_id = o.id
                          WHERE o.unit_id = j.unit_id AND o.state = 'superseded' AND d.state = 'sending' AND d.lease_until > node_now())
          AND (j.prior_rule IS NULL OR j.priors_chosen_at IS NOT NULL OR j.failure_state IS NOT NULL OR NOT EXISTS (
              SELECT FROM series ts JOIN studies t ON t.id = ts.study_id
              JOIN jobs o ON o.state = 'running' AND o.lease_until > (SELECT node_now()) AND o.model = j.model AND NOT o.shadow
              JOIN units ou ON ou.id = o.unit_id JOIN series os ON os.id = ou.series_id JOIN studies ot ON ot.id = os.study_id
              WHERE ts.id = u.series_id AND o.priority >= j.priority AND t.patient_id <> '' AND ot.patient_id = t.patient_id
                AND ot.issuer_of_patient_id = t.issuer_of_patient_id AND ot.study_date <> ''
                AND (ot.study_date, ot.study_time) < (t.study_date, t.study_time)))
        ORDER BY j.priority DESC, j.shadow, j.next_attempt_at, j.id LIMIT :limit FOR NO KEY UPDATE OF j SKIP LOCKED) AS due
        WHERE CAST(:kind AS text) IS NULL OR (due.kind = :kind AND due.attempts = 0 AND due.pipeline_digest = ANY(:digests))))
    RETURNING id, prior_rule IS NOT NULL AS compares
"""
_IS_QUEUED = f"j.state = 'queued' AND {JOB_NOT_PAUSED}"
_IS_NOT_ANALYSED = f"j.failure_state IS NOT NULL AND j.state IN ('failed', 'quarantined') AND {JOB_NOT_PAUSED}"
_QUEUED = text(_CLAIM.format(counted="attempts", due=_IS_QUEUED))
_NOT_ANALYSED = text(_CLAIM.format(counted="not_analysed_attempts", due=_IS_NOT_ANALYSED))
# Executed first: one wake-up claims jobs that other wake-ups were sent for, so that most of them find no job, and this query is cheaper
# than planning the claim.
_ANY = "SELECT EXISTS (SELECT FROM jobs j WHERE {due} AND j.next_attempt_at <= (SELECT node_now()))"
_ANY_QUEUED, _ANY_NOT_ANALYSED = text(_ANY.format(due=_IS_QUEUED)), text(_ANY.format(due=_IS_NOT_ANALYSED))
_BEGIN_ATTEMPTS = text("""
    INSERT INTO attempts (job_id, number, kind, worker, token)
    SELECT j.id, (SELECT count(*) + 1 FROM attempts a WHERE a.job_id = j.id),
           CASE WHEN j.failure_state IS NULL THEN 'analysis' ELSE 'explanation' END, j.worker, j.token
    FROM jobs j WHERE j.id = ANY(:ids)
""")
_CLAIMED = text("""
    SELECT j.id, j.key, j.unit_id, u.kind AS unit_kind, j.revision, j.run, j.attempts AS attempt, j.token, j.model, j.model_version,
           j.pipeline_digest, j.priority, j.destinations, st.study_instance_uid, se.series_instance_uid, u.sop_instance_uid,
           u.first_received_at AS received_at, j.completed_at,
           j.shadow, j.failure_state, j.not_analysed_attempts, j.reason, u.source, j.prior_rule
    FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE j.id = ANY(:ids) ORDER BY j.priority DESC, j.shadow, j.next_attempt_at, j.id
""")
_INPUTS = text("""
    SELECT ji.job_id, i.sop_instance_uid, i.sop_class_uid, i.sha256 FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id
    WHERE ji.job_id = ANY(:ids) ORDER BY i.id
""")
# Objects of earlier results of the same model on the same unit that destinations have stored, the latest first, except those for which
# they have stored a rejection: an archive may have deleted these, and refuse a rejection that names what it does not have. Assessments
# are not rejected either: they remain what a clinician has decided.
_EARLIER = text("""
    SELECT me.id, d.destination, r.kind, r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid
    FROM jobs me JOIN jobs j ON j.unit_id = me.unit_id AND j.model = me.model AND j.id <> me.id AND j.revision <= me.revision
    JOIN reports r ON r.job_id = j.id AND r.kind <> 'assessment'
    JOIN deliveries d ON d.report_id = r.id
        -- Stored before it was sent again, or given up.
        AND (d.state IN ('stored', 'committed') OR d.resent_at > d.stored_at OR d.state = 'given_up' AND d.stored_at IS NOT NULL)
    WHERE me.id = ANY(:ids) AND NOT (r.kind <> 'sr' AND EXISTS (
        SELECT FROM jobs k JOIN reports n ON n.job_id = k.id AND n.kind = 'rejection'
        JOIN deliveries e ON e.report_id = n.id AND e.destination = d.destination AND e.state IN ('stored', 'committed')
        WHERE k.unit_id = me.unit_id AND k.model = me.model AND k.id <> me.id
          AND (k.revision, k.run) > (j.revision, j.run) AND d.stored_at <= k.started_at))
    ORDER BY d.destination, j.revision DESC, j.run DESC, r.id
""")


def claim_jobs(
    database: Database, *, worker: str, priorities: tuple[Priority, ...] | None, models: tuple[str, ...] | None, lease_s: float,
    limit: int = 1, job_id: int | None = None,
) -> list[ClaimedJob]:  # fmt: skip
    """Lease up to ``limit`` due jobs, urgent ones first, shadows last, then by age; the attempts are committed before their work begins.

    A job that failed goes to the end of the queue as it was at that time, so that a job that fails every time does not delay the others.
    ``UnitInput.path`` is relative to the blob folder: ``Blobs.path(sha256)`` returns the whole path.
    """
    return _claim(database, _ANY_QUEUED, _QUEUED, worker, priorities, models, lease_s, limit, job_id)


def claim_pipeline_batch(
    database: Database, *, worker: str, priorities: tuple[Priority, ...], kind: UnitKind, digests: Collection[str], lease_s: float,
    limit: int,
) -> list[ClaimedJob]:  # fmt: skip
    """Lease, of the next ``limit`` due jobs, those that may be computed in one batch with another job.

    These are jobs for this kind of unit and one of the pipelines ``digests`` that were never tried before: a job that may have killed a
    worker is tried alone. No other job is overtaken by more than ``limit`` jobs.
    """
    return _claim(database, _ANY_QUEUED, _QUEUED, worker, priorities, None, lease_s, limit, None, kind, digests)


def claim_not_analysed(
    database: Database, *, worker: str, priorities: tuple[Priority, ...] | None, lease_s: float, limit: int = 1
) -> list[ClaimedJob]:
    """Lease up to ``limit`` jobs that fail permanently and whose report that says so is still to be made."""
    return _claim(database, _ANY_NOT_ANALYSED, _NOT_ANALYSED, worker, priorities, None, lease_s, limit, None)


def _claim(
    database: Database, any_due: TextClause, statement: TextClause, worker: str, priorities: tuple[Priority, ...] | None,
    models: tuple[str, ...] | None, lease_s: float, limit: int, job_id: int | None, kind: UnitKind | None = None,
    digests: Collection[str] = (),
) -> list[ClaimedJob]:  # fmt: skip
    values = {
        "worker": worker,
        "priorities": None if priorities is None else [priority.value for priority in priorities],
        "models": None if models is None else list(models),
        "lease_s": lease_s,
        "limit": limit,
        "job_id": job_id,
        "kind": None if kind is None else kind.value,
        "digests": list(digests),
    }
    with database.begin() as connection:
        waiting = connection.execute(any_due).scalar_one()
        claimed = connection.execute(statement, values).all() if waiting else []
        if not claimed:
            return []
        ids, comparing = [row.id for row in claimed], [row.id for row in claimed if row.compares]
        connection.execute(_BEGIN_ATTEMPTS, {"ids": ids})
        if comparing:
            choose_prior_results(connection, comparing)
        failpoint("claim.written")
        return _read(connection, ids, comparing)


def _read(connection: Connection, ids: list[int], comparing: list[int]) -> list[ClaimedJob]:
    inputs: dict[int, list[UnitInput]] = defaultdict(list)
    for item in connection.execute(_INPUTS, {"ids": ids}):
        path = f"{item.sha256[:2]}/{item.sha256}"
        inputs[item.job_id].append(UnitInput(item.sop_instance_uid, item.sop_class_uid, item.sha256, path))
    earlier: dict[int, list[StoredElsewhere]] = defaultdict(list)
    for item in connection.execute(_EARLIER, {"ids": ids}):
        earlier[item.id].append(StoredElsewhere(*item[1:]))
    priors = read_prior_results(connection, comparing) if comparing else {}
    thickness = slice_thicknesses_mm(connection, list(priors))
    rows = connection.execute(_CLAIMED, {"ids": ids}).all()
    return [_claimed(row, tuple(inputs[row.id]), earlier[row.id], priors.get(row.id, ()), thickness.get(row.id)) for row in rows]


def _claimed(
    row: Row[Any], inputs: tuple[UnitInput, ...], earlier: list[StoredElsewhere], priors: tuple[PriorResult, ...], thickness: float | None
) -> ClaimedJob:
    last: dict[str, tuple[str, str, str]] = {}
    for item in earlier:
        if item.kind == "sr":
            last.setdefault(item.destination, (item.sop_class_uid, item.sop_instance_uid, item.series_instance_uid))
    converted = {
        "unit_kind": UnitKind(row.unit_kind),
        "priority": Priority(row.priority),
        "destinations": tuple(row.destinations),
        "failure_state": None if row.failure_state is None else JobState(row.failure_state),
        "prior_rule": None if row.prior_rule is None else prior_rule(row.prior_rule),
        "slice_thickness_mm": thickness,
        "left_out": () if row.prior_rule is None else left_out_results(row.prior_rule),
    }
    outdated = tuple(item for item in earlier if item.kind != "sr")
    return ClaimedJob(**row._asdict() | converted, inputs=inputs, predecessors=last, outdated=outdated, priors=priors)
