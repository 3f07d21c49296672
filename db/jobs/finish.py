"""Commits the result of a job: findings, objects and deliveries, in one short transaction that checks the fencing token first."""

import json
from dataclasses import asdict

from sqlalchemy import Connection, text

from core.errors import LeaseLost, ModelError
from core.failpoints import failpoint
from core.policy.drift import DriftObservation
from core.policy.result_profiles import ResultProfiles
from core.records import ModelIdentity, Prediction
from core.states import ModelState
from db import audit
from db.blobs import removals
from db.engine import Database
from db.jobs.added_destinations import add_destinations
from db.jobs.job_records import ClaimedJob, StoredObject, StoredOverlays, Timings
from db.jobs.result_values import finding_values, findings_digest, object_values
from db.notify import notify_statement
from db.operations import drift
from db.pipelined import Statement, execute_pipelined

_LOCK_UNIT = text("SELECT revision FROM units WHERE id = :unit_id FOR NO KEY UPDATE")
_LOCK_JOB = text("""
    SELECT revision, destinations FROM jobs WHERE id = :id AND state = 'running' AND token = CAST(:token AS uuid) FOR NO KEY UPDATE
""")
# The shared lock makes a retirement of the model wait until this transaction ends.
_MODEL = text("SELECT state FROM models WHERE digest = :digest FOR SHARE")
_ADD_FINDING = text("""
    INSERT INTO findings (job_id, ordinal, label, code_value, code_scheme, code_meaning, probability, score, tier, position_mm,
                          diameter_mm, sop_instance_uid, frame, image_point, measurements, evaluations, site, organ_place, comparison)
    VALUES (:job_id, :ordinal, :label, :code_value, :code_scheme, :code_meaning, :probability, :score, :tier, :position_mm,
            :diameter_mm, :sop_instance_uid, :frame, :image_point, CAST(:measurements AS jsonb), CAST(:evaluations AS jsonb),
            CAST(:site AS jsonb), CAST(:organ_place AS jsonb), CAST(:comparison AS jsonb))
""")
_ADD_OBJECT = text("""
    WITH kept AS (
        INSERT INTO reports (job_id, kind, profile, sop_class_uid, sop_instance_uid, series_instance_uid, sha256, size_bytes, problems)
        VALUES (:job_id, :kind, :profile, :sop_class_uid, :sop_instance_uid, :series_instance_uid, :sha256, :size_bytes,
                CAST(:problems AS text[]))
        RETURNING id)
    INSERT INTO deliveries (job_id, report_id, destination, priority, state, note, awaiting_verdict)
    SELECT :job_id, kept.id, wanted.destination, :priority, CASE WHEN wanted.waits THEN 'held' ELSE :state END,
           CASE WHEN wanted.waits THEN :waiting_note ELSE :note END, wanted.waits
    FROM kept, (SELECT name AS destination, place, :state = 'pending' AND name = ANY(j.awaiting_verdict) AS waits
                FROM jobs j, unnest(CAST(:destinations AS text[])) WITH ORDINALITY AS listed (name, place) WHERE j.id = :job_id) wanted
    ORDER BY wanted.place
""")
_ADD_OVERLAYS = text("INSERT INTO result_overlays (job_id, sha256, size_bytes) VALUES (:job_id, :sha256, :size_bytes)")
_REPORTED = text("""
    UPDATE jobs SET state = :state, failure_state = NULL, outcome = :outcome, reason = :reason, looked_for = :looked_for, notes = :notes,
        probabilities = CAST(:probabilities AS jsonb), identity = CAST(:identity AS jsonb), scanner = :scanner,
        prepare_s = :prepare_s, infer_s = :infer_s, encode_s = :encode_s, memory_mib = :memory_mib,
        started_at = :started_at, inferred_at = :inferred_at, reported_at = node_now(),
        delivered_at = CASE WHEN :state = 'delivered' THEN node_now() END, worker = NULL, token = NULL, lease_until = NULL
    WHERE id = :id
""")
_END_ATTEMPT = text("UPDATE attempts SET result = 'reported', ended_at = node_now() WHERE token = CAST(:token AS uuid)")


def commit_result(
    database: Database, job: ClaimedJob, *, prediction: Prediction, identity: ModelIdentity, objects: tuple[StoredObject, ...],
    timings: Timings, profiles: ResultProfiles | None = None, observations: tuple[DriftObservation, ...] = (), scanner: str = "",
    overlays: StoredOverlays | None = None,
) -> None:  # fmt: skip
    """Commit the result of a job: all of it, or nothing if the lease was lost.

    A job that fails permanently keeps its state: its result is the report that it was not analysed.

    Parameters
    ----------
    profiles
        Result profiles by destination, for destinations that were added since the claim (`db.jobs.added_destinations`).
    observations, scanner
        Counted for the statistics of drift (`db.operations.drift`); the scanner is stored with the job too.
    overlays
        Outlines and heat map for the console's viewer.

    Raises
    ------
    LeaseLost
        Another worker has the job, or the unit has a newer revision.
    ModelError
        ``identity`` is not the pipeline of the job, or the pipeline was retired meanwhile: repeating cannot help.
    StorageError
        The database does not respond, or the overlays could not be stored again; nothing was written.
    ValueError
        A job of a shadow has objects.
    """
    if job.shadow and objects:
        raise ValueError(f"job {job.id} is of a shadow, which makes no objects")
    with database.begin() as connection:
        added = _fence(connection, job, identity)
        findings = enumerate(prediction.findings, start=1)
        statements: list[Statement] = [(_ADD_FINDING, finding_values(job.id, ordinal, finding)) for ordinal, finding in findings]
        statements += [(_ADD_OBJECT, object_values(job, item)) for item in objects]
        if overlays is not None:
            removals.keep_made(connection, overlays.blob, overlays.store)
            statements.append((_ADD_OVERLAYS, {"job_id": job.id, **asdict(overlays.blob)}))
        deliveries = sum(len(set(item.destinations)) for item in objects)
        if added:  # their objects are chosen from the rows of this result
            execute_pipelined(connection, statements)
            statements = []
            deliveries += add_destinations(connection, job.id, added, profiles or {}, job.priority.value)
        state = job.failure_state.value if job.failure_state else "reported" if deliveries else "delivered"
        values = {
            "id": job.id,
            "state": state,
            "outcome": prediction.outcome.value,
            "reason": prediction.reason,
            "looked_for": prediction.looked_for,
            "notes": list(prediction.notes),
            "probabilities": json.dumps(dict(prediction.probabilities)),
            "identity": json.dumps(asdict(identity)),
            "scanner": scanner,
            **asdict(timings),
        }
        statements += [(_REPORTED, values), (_END_ATTEMPT, {"token": str(job.token)})]
        details: dict[str, object] = {
            "outcome": prediction.outcome.value,
            "findings": findings_digest(prediction),
            "model": identity.name,
            "digest": identity.digest,
            "shadow": job.shadow,
            "objects": [{"kind": item.report.kind.value, "sha256": item.blob.sha256, "held": bool(item.problems)} for item in objects],
        }
        if job.priors:
            details["priors"] = [{"job": one.job_id, "version": one.model_version, "digest": one.pipeline_digest} for one in job.priors]
        if job.left_out:
            details["priors_left_out"] = dict(job.left_out)
        statements += drift.count_statements(
            model=identity.name, version=identity.version, digest=identity.digest, scanner=scanner, observations=observations
        )
        actor, subject = f"worker:{identity.name}", f"job:{job.id}"
        statements.append(audit.record_statement(actor=actor, action="job.reported", subject=subject, details=details))
        statements.append(notify_statement("delivery"))
        execute_pipelined(connection, statements)
        failpoint("finish.written", job.study_instance_uid)


def _fence(connection: Connection, job: ClaimedJob, identity: ModelIdentity) -> tuple[str, ...]:
    """Lock unit and job and check that this attempt may write; return the destinations that were added since the claim."""
    revision = connection.execute(_LOCK_UNIT, {"unit_id": job.unit_id}).scalar_one_or_none()
    held = connection.execute(_LOCK_JOB, {"id": job.id, "token": str(job.token)}).one_or_none()
    if held is None:
        raise LeaseLost(f"job {job.id} is not leased to this attempt any more", hint="nothing was written; another worker has it")
    if revision != held.revision or revision != job.revision:
        raise LeaseLost(f"job {job.id} is of revision {job.revision}, its unit is at {revision}", hint="nothing was written")
    if identity.digest != job.pipeline_digest:
        raise ModelError(f"job {job.id} is for another pipeline than the one that answered", hint="the worker serves another version")
    state = connection.execute(_MODEL, {"digest": identity.digest}).scalar_one_or_none()
    if job.failure_state is None and state == ModelState.RETIRED:
        raise ModelError(f"the model of job {job.id} was retired meanwhile", hint="activate a model and requeue the job")
    if job.failure_state is None and state == ModelState.SHADOW and not job.shadow:
        raise ModelError(f"the model of job {job.id} became a shadow meanwhile", hint="activate it, or another, and requeue the job")
    return tuple(name for name in held.destinations if name not in job.destinations)
