"""Exports results for other systems: one row per finding, with the fields of the public interface."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import text

from db.engine import Database
from db.jobs.prior_results import left_out_to_json
from db.row_values import row_to_json

FETCH_ROWS = 500
FIELDS = (
    "study_instance_uid", "series_instance_uid", "sop_instance_uid", "accession_number", "patient_id", "modality", "job_id", "job_state",
    "outcome", "reason", "revision", "model", "model_version", "model_digest", "finding", "finding_code", "probability", "tier",
    "measurements", "sr_sop_instance_uid", "deliveries", "received_at", "completed_at", "completion_evidence", "inferred_at", "reported_at",
    "verdict", "inputs", "comparison", "priors", "priors_left_out",
)  # fmt: skip
INPUT_FIELDS = (
    "job_id", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "sha256", "revision", "run", "model", "model_version",
    "model_digest",
)  # fmt: skip
_LOCATION = ("score", "position_mm", "diameter_mm", "image_sop_instance_uid", "frame", "image_point")
_VERDICT = """
    jsonb_build_object('verdict', v.verdict, 'reason', v.reason, 'label', v.corrected_label, 'code', v.corrected_code,
        'position_mm', v.position_mm, 'diameter_mm', v.diameter_mm, 'image_sop_instance_uid', v.image_sop_instance_uid, 'frame', v.frame,
        'image_point', v.image_point, 'user', v.user_name, 'at', v.at, 'seen_revision', v.seen_revision, 'seen_at', v.seen_at)
"""
# Of the results that did not change themselves: those of which a delivery or a verdict did.
_CHANGED_BESIDE = text("""
    SELECT job_id FROM deliveries WHERE changed_at >= :since UNION SELECT job_id FROM verdicts WHERE at >= :since
""")
# Two parts, each of which is found by an index; one condition of both would read every finding.
_ROWS = text(f"""
    SELECT f.*, (SELECT prior_rule FROM jobs WHERE id = f.job_id) AS prior_rule, given.verdict, missed.verdicts AS missed,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('sop_instance_uid', i.sop_instance_uid, 'sha256', i.sha256) ORDER BY i.id), '[]')
         FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = f.job_id) AS inputs
    FROM (SELECT * FROM v_findings WHERE CAST(:since AS timestamptz) IS NULL OR changed_at >= :since
          UNION ALL SELECT * FROM v_findings WHERE job_id = ANY(CAST(:jobs AS bigint[])) AND changed_at < :since) f
    LEFT JOIN LATERAL (SELECT {_VERDICT} AS verdict FROM v_verdicts v
        WHERE v.job_id = f.job_id AND v.current AND v.verdict <> 'missed' AND v.ordinal IS NOT DISTINCT FROM f.ordinal
        ORDER BY v.verdict_id DESC LIMIT 1) given ON true
    LEFT JOIN LATERAL (SELECT jsonb_agg({_VERDICT} ORDER BY v.verdict_id) AS verdicts FROM v_verdicts v
        WHERE v.job_id = f.job_id AND v.current AND v.verdict = 'missed' AND coalesce(f.ordinal, 1) = 1) missed ON true
    ORDER BY f.changed_at, f.job_id, f.ordinal
""")
_INPUTS = text("""
    SELECT j.job_id, j.study_instance_uid, j.series_instance_uid, i.sop_instance_uid, i.sha256, j.revision, j.run, j.model,
           j.model_version, j.model_digest
    FROM v_jobs j JOIN job_inputs ji ON ji.job_id = j.job_id JOIN instances i ON i.id = ji.instance_id
    WHERE NOT j.shadow AND j.outcome IS NOT NULL
      AND (CAST(:since AS timestamptz) IS NULL OR coalesce(j.reported_at, j.queued_at) >= :since)
    ORDER BY j.job_id, i.id
""")
# A transaction that is running now will commit with a time from its beginning on. A backup only reads.
_NEXT_SINCE = text("""
    SELECT least(node_now(), min(xact_start)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name <> 'pg_dump'
""")
# A missed finding has the study, series, job and model of its result, and nothing that the model said.
_NOT_OF_THE_MODEL = (
    "score", "position_mm", "diameter_mm", "image_sop_instance_uid", "frame", "image_point", "probability", "tier", "comparison",
)  # fmt: skip


def export_findings(database: Database, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Yield one dict of JSON types per finding, with the keys ``FIELDS``; one with an empty finding for a unit without findings.

    With ``since``, jobs are listed that got their result, or failed, were cancelled or were superseded since then, and those of which a
    delivery has changed its state or a verdict was given: what was exported before is listed again as it is now. ``outcome`` is None where
    a job failed (``reason`` says why); ``job_id`` is None where no route took the unit.
    ``measurements`` is an object: score, position_mm (LPS), diameter_mm, image, frame, image_point where known, and ``items``.
    ``verdict`` is None, or an object with the clinician's current verdict: verdict, reason, label, code, position_mm, diameter_mm,
    image_sop_instance_uid, frame, image_point, user, at, seen_revision, seen_at. A finding that the model lacks has a row of its own
    behind the first row of its result, with ``verdict.verdict`` "missed". ``inputs`` are the instances that the model was given: SOP
    Instance UID, and SHA-256 of the content. ``priors`` are the earlier results with which the result was compared, and ``comparison`` what
    that says of the finding (`core.records.FindingComparison`), or None. ``priors_left_out``: how many earlier results of the same Patient
    ID were not compared with, for which doubt (`core.policy.priors.same_patient`).
    """
    with database.begin() as connection:
        jobs = [] if since is None else connection.execute(_CHANGED_BESIDE, {"since": since}).scalars().all()
        for row in connection.execution_options(yield_per=FETCH_ROWS).execute(_ROWS, {"since": since, "jobs": jobs}):
            values = row_to_json(row)
            values["priors_left_out"] = left_out_to_json(values["prior_rule"])
            missed = [_missed(values, verdict) for verdict in values["missed"] or ()]
            for found in (values, *missed):
                found["measurements"] = _measurements(found)
                found["finding"] = found["finding"] or ""
                yield {name: found[name] for name in FIELDS}


def next_since(database: Database) -> datetime:
    """Return from which time the export after one that begins now has to be, to leave nothing out; it may have some rows again."""
    with database.begin() as connection:
        found: datetime = connection.execute(_NEXT_SINCE).scalar_one()
    return found


def export_inputs(database: Database, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Yield one dict with the keys ``INPUT_FIELDS`` for each instance that a model was given for a result."""
    with database.begin() as connection:
        for row in connection.execution_options(yield_per=FETCH_ROWS).execute(_INPUTS, {"since": since}):
            yield row_to_json(row)


def _missed(values: dict[str, Any], verdict: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a finding that a clinician added."""
    place = {name: verdict[name] for name in ("position_mm", "diameter_mm", "image_sop_instance_uid", "frame", "image_point")}
    named = {"finding": verdict["label"], "finding_code": verdict["code"], "measurements": None, "verdict": verdict}
    return values | dict.fromkeys(_NOT_OF_THE_MODEL) | place | named


def _measurements(values: dict[str, Any]) -> dict[str, Any]:
    """Return location and measurements of one finding; empty where there are none."""
    location = {name: values[name] for name in _LOCATION if values[name] not in (None, "")}
    items = [
        {
            "name": item["name"]["meaning"],
            "code": f"{item['name']['scheme']}:{item['name']['value']}",
            "value": item["value"],
            "unit": item["unit"]["value"],
        }
        for item in values["measurements"] or ()
    ]
    return location | ({"items": items} if items else {})
