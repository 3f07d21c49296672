"""Commits an encoded assessment with its deliveries, or records that encoding it failed. Nothing is written without the lease."""

from typing import Any

from sqlalchemy import Connection, text

from core.errors import LeaseLost
from core.failpoints import failpoint
from core.policy.verdicts import WAITING_NOTE
from db import audit
from db.deliveries.job_completion import lock_jobs
from db.engine import Database
from db.notify import notify
from db.verdicts.assessment_records import ClaimedAssessment, StoredAssessment

_FENCE = text("""
    SELECT j.state, j.awaiting_verdict,
           EXISTS (SELECT FROM assessments later
                   WHERE later.job_id = a.job_id AND later.number > a.number AND later.state = 'done') AS late,
           ARRAY(SELECT d.destination FROM deliveries d JOIN reports r ON r.id = d.report_id WHERE d.job_id = a.job_id AND r.kind = 'sr'
                 GROUP BY d.destination
                 HAVING bool_and(d.state = 'withdrawn' OR d.state = 'given_up' AND d.stored_at IS NULL)) AS without_report
    FROM assessments a JOIN jobs j ON j.id = a.job_id
    WHERE a.id = :id AND a.state = 'encoding' AND a.token = CAST(:token AS uuid) FOR NO KEY UPDATE OF a
""")
_WITHDRAW_EARLIER = text("""
    UPDATE deliveries d SET state = 'withdrawn', awaiting_verdict = false, changed_at = node_now(), note = 'a later assessment replaces it'
    FROM reports r WHERE r.id = d.report_id AND r.job_id = :job_id AND r.kind = 'assessment' AND d.state IN ('pending', 'held', 'given_up')
""")
_ADD = text("""
    INSERT INTO reports (job_id, kind, profile, sop_class_uid, sop_instance_uid, series_instance_uid, sha256, size_bytes, problems)
    VALUES (:job_id, 'assessment', :profile, :sop_class_uid, :sop_instance_uid, :series_instance_uid, :sha256, :size_bytes, :problems)
    RETURNING id
""")
_DELIVER = text("""
    INSERT INTO deliveries (job_id, report_id, destination, priority, state, note, awaiting_verdict)
    VALUES (:job_id, :report_id, :destination, :priority, :state, :note, :awaiting)
""")
_REPORTED = text("UPDATE jobs SET state = 'reported', delivered_at = NULL WHERE id = :id AND state = 'delivered'")
_END = text("""
    UPDATE assessments SET state = :state, error = :error, token = NULL, lease_until = NULL,
        next_attempt_at = node_now() + make_interval(secs => :in_s),
        finished_at = CASE WHEN :state = 'queued' THEN NULL ELSE node_now() END
    WHERE id = :id
""")


def commit_assessment(database: Database, claimed: ClaimedAssessment, objects: tuple[StoredAssessment, ...]) -> None:
    """Add the objects and their deliveries, and withdraw earlier assessments that were not sent yet.

    Raises
    ------
    LeaseLost
        Another worker has the assessment; nothing was written.
    """
    with database.begin() as connection:
        lock_jobs(connection, [claimed.job_id])
        job = _fence(connection, claimed)
        if job.state == "superseded" or job.late:  # its result is not delivered any more, or a later assessment has the last verdicts
            connection.execute(_END, {"id": claimed.id, "state": "superseded", "error": "", "in_s": 0.0})
            return
        connection.execute(_WITHDRAW_EARLIER, {"job_id": claimed.job_id})
        deliveries = sum(_add(connection, claimed, item, job.awaiting_verdict, job.without_report) for item in objects)
        if deliveries:
            connection.execute(_REPORTED, {"id": claimed.job_id})
        connection.execute(_END, {"id": claimed.id, "state": "done", "error": "", "in_s": 0.0})
        details = {
            "number": claimed.number,
            "verdicts": [judged.verdict_id for judged in claimed.judged],
            "objects": [{"sha256": item.blob.sha256, "held": bool(item.problems)} for item in objects],
        }
        audit.record(connection, actor="worker", action="assessment.reported", subject=f"job:{claimed.job_id}", details=details)
        notify(connection, "delivery")
        failpoint("assessment.written", claimed.study_instance_uid)


def record_failed_assessment(database: Database, claimed: ClaimedAssessment, *, error: str, retry_in_s: float | None) -> None:
    """Record that encoding failed; it is due again in ``retry_in_s`` seconds, or never if that is None.

    Raises
    ------
    LeaseLost
        Another worker has the assessment; nothing was written.
    """
    state = "failed" if retry_in_s is None else "queued"
    with database.begin() as connection:
        _fence(connection, claimed)
        connection.execute(_END, {"id": claimed.id, "state": state, "error": error, "in_s": retry_in_s or 0.0})
        if state == "failed":
            details = {"number": claimed.number, "attempts": claimed.attempt, "error": error}
            audit.record(connection, actor="worker", action="assessment.failed", subject=f"job:{claimed.job_id}", details=details)


def _fence(connection: Connection, claimed: ClaimedAssessment) -> Any:
    row = connection.execute(_FENCE, {"id": claimed.id, "token": str(claimed.token)}).one_or_none()
    if row is None:
        raise LeaseLost(
            f"assessment {claimed.id} is not leased to this attempt any more", hint="nothing was written; another worker has it"
        )
    return row


def _add(connection: Connection, claimed: ClaimedAssessment, item: StoredAssessment, awaiting: list[str], without_report: list[str]) -> int:
    """Add one object and its deliveries; return how many.

    It is held like the result where that still waits for its release, and not sent where the report was given up meanwhile.
    """
    values = {
        "job_id": claimed.job_id,
        "profile": item.made.profile,
        "sop_class_uid": item.made.sop_class_uid,
        "sop_instance_uid": item.made.sop_instance_uid,
        "series_instance_uid": item.made.series_instance_uid,
        "sha256": item.blob.sha256,
        "size_bytes": item.blob.size_bytes,
        "problems": list(item.problems),
    }
    report_id = connection.execute(_ADD, values).scalar_one()
    destinations = [name for name in item.destinations if name not in without_report]
    for destination in destinations:
        waits = destination in awaiting and not item.problems
        held = waits or bool(item.problems)
        delivery = {
            "job_id": claimed.job_id,
            "report_id": report_id,
            "destination": destination,
            "priority": claimed.priority.value,
            "state": "held" if held else "pending",
            "note": WAITING_NOTE if waits else "; ".join(item.problems),
            "awaiting": waits,
        }
        connection.execute(_DELIVER, delivery)
    return len(destinations)
