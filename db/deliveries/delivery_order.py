"""The order in which the objects of a result reach a destination: a report after what it names, a rejection after everything else.

A report that arrives before its segmentation would refer to an object that does not exist. So it waits until the destination has stored
every object that it names. If one of these fails permanently, is held or given up, the report that names no other object
(`workers.results.reports` makes one) is sent instead: the destination gets a report, and never a reference to an object that it has not
stored. Objects that it has stored remain beside that report. If a person has the missing object sent again before the replacement was
stored, the first report takes its place again.

A destination gets one report of a result. What it has stored before is sent again as it was: a report does not wait for an object that is
refused now, and its replacement stays where the object is taken now.

An assessment refers to the report that the destination receives and waits until it is stored. If that report is given up before, the
assessment and the rejection are given up with it (`db.deliveries.giving_up`).

A rejection (IHE IOCM) of the objects of an older result waits for the new result; otherwise the study would be without a result meanwhile.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from core.states import DeliveryState
from db import audit
from db.deliveries.job_completion import lock_jobs

# Whether the report ``r`` names the object ``o``. Objects that failed validation are named by no report.
_NAMED = "r.kind = 'sr' AND o.kind <> 'sr' AND o.problems = '{}' AND o.kind = ANY(string_to_array(split_part(r.profile, '@', 1), '+'))"
_SIBLING = "c.job_id = d.job_id AND c.destination = d.destination AND c.id <> d.id"
# Whether the destination has the object of ``c``, and whether it will not get it unless a person acts. What was given up after the
# destination had stored it (it did not commit to it, or refused it when it was sent again) is there.
_THERE = "(c.state IN ('stored', 'committed') OR c.state = 'given_up' AND c.stored_at IS NOT NULL)"
_MISSING = "(c.state IN ('held', 'failed') OR c.state = 'given_up' AND c.stored_at IS NULL)"
# The destination has stored the report ``d`` before, so it gets no other one; the object ``c`` was stored with it, and is refused now.
_KEPT = f"d.stored_at IS NOT NULL AND {_MISSING}"

# Whether the delivery ``d`` has to wait for another delivery ``c`` of the same job to the same destination.
MUST_WAIT = f"""
    EXISTS (
        SELECT FROM reports r, deliveries c JOIN reports o ON o.id = c.report_id
        WHERE r.id = d.report_id AND {_SIBLING}
          AND (({_NAMED} AND NOT {_THERE} AND NOT ({_KEPT}))
               OR (r.kind = 'assessment' AND o.kind = 'sr' AND NOT {_THERE} AND c.state <> 'withdrawn')
               OR (r.kind = 'rejection' AND o.kind <> 'rejection'
                   AND (c.state IN ('pending', 'sending') OR (o.kind = 'sr' AND {_MISSING})))))
"""
# The report is due when the object that it waits for is, so that claims do not read it before.
_POSTPONE = text(f"""
    UPDATE deliveries d SET next_attempt_at = greatest(d.next_attempt_at, c.next_attempt_at), note = 'waits for: ' || o.kind
    FROM deliveries c JOIN reports o ON o.id = c.report_id, reports r
    WHERE c.id = :id AND {_SIBLING} AND d.state = 'pending' AND r.id = d.report_id AND {_NAMED}
""")
_BLOCKED_FROM = f"""
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id
    JOIN deliveries c ON {_SIBLING} JOIN reports o ON o.id = c.report_id
    WHERE d.state = 'pending' AND d.stored_at IS NULL AND j.state <> 'superseded' AND {_NAMED} AND {_MISSING}
"""
_BLOCKED_JOBS = text(f"SELECT DISTINCT d.job_id {_BLOCKED_FROM}")
_BLOCKED = text(f"""
    SELECT d.id, d.job_id, d.destination, d.priority, string_agg(DISTINCT o.kind, ', ') AS missing,
           (SELECT p.id FROM reports p WHERE p.job_id = d.job_id AND p.problems = '{{}}' AND p.profile IN ('sr', 'sr@' || d.destination)
            ORDER BY p.profile DESC LIMIT 1) AS plain
    {_BLOCKED_FROM} AND d.job_id = ANY(:jobs) GROUP BY d.id ORDER BY d.id
""")
_END = text("UPDATE deliveries SET state = :state, note = :note, changed_at = node_now() WHERE id = :id")
_SEND_PLAIN = text("""
    INSERT INTO deliveries (job_id, report_id, destination, priority, state, note)
    VALUES (:job_id, :plain, :destination, :priority, 'pending', '')
    ON CONFLICT (report_id, destination) DO UPDATE
        SET state = 'pending', note = '', attempts = 0, next_attempt_at = node_now(), changed_at = node_now()
        WHERE deliveries.state = 'withdrawn'
""")
# For objects that are sent again: the report that names one of them and was withdrawn, and its replacement if it was never stored.
_REPLACED = text(f"""
    SELECT DISTINCT d.id, p.id AS plain
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id
    JOIN deliveries c ON {_SIBLING} JOIN reports o ON o.id = c.report_id
    JOIN deliveries p ON p.job_id = d.job_id AND p.destination = d.destination AND p.state IN ('pending', 'held', 'failed')
        AND p.stored_at IS NULL
    JOIN reports q ON q.id = p.report_id AND q.profile IN ('sr', 'sr@' || d.destination)
    WHERE c.id = ANY(:ids) AND d.state = 'withdrawn' AND j.state <> 'superseded' AND {_NAMED} ORDER BY d.id
""")
_RESTORE = text("""
    UPDATE deliveries SET state = 'pending', note = '', attempts = 0, next_attempt_at = node_now(), changed_at = node_now() WHERE id = :id
""")


def postpone_naming_report(connection: Connection, delivery_id: int) -> None:
    """Postpone the report that names the object of a delivery which is tried again later."""
    connection.execute(_POSTPONE, {"id": delivery_id})


def replace_blocked_reports(connection: Connection) -> int:
    """Replace reports that wait for a failed, held or given up object by the report that names no other object; return how many.

    Where there is no such report they are held.
    """
    jobs = sorted(connection.execute(_BLOCKED_JOBS).scalars())
    if not jobs:
        return 0
    lock_jobs(connection, jobs)
    rows = connection.execute(_BLOCKED, {"jobs": jobs}).all()
    for row in rows:
        _replace(connection, row)
    return len(rows)


def _replace(connection: Connection, row: Any) -> None:
    """Withdraw a blocked report and send its replacement, or hold it."""
    why = f"it names objects that the destination has not stored ({row.missing})"
    if row.plain is None:
        note, state = f"{why}: send them again, or run the job again", DeliveryState.HELD
    else:
        note, state = f"{why}: a report without other objects is sent instead", DeliveryState.WITHDRAWN
        values = {"job_id": row.job_id, "plain": row.plain, "destination": row.destination, "priority": row.priority}
        connection.execute(_SEND_PLAIN, values)
    connection.execute(_END, {"id": row.id, "state": state.value, "note": note})
    details = {"destination": row.destination, "job": row.job_id, "missing": row.missing}
    audit.record(connection, actor="sender", action=f"delivery.{state.value}", subject=f"delivery:{row.id}", details=details)


def restore_replaced_reports(connection: Connection, ids: Sequence[int], actor: str) -> None:
    """Restore reports that were replaced because of one of these deliveries, which are sent again. The caller has locked the jobs."""
    for row in connection.execute(_REPLACED, {"ids": list(ids)}).all():
        connection.execute(_END, {"id": row.plain, "state": DeliveryState.WITHDRAWN.value, "note": "the report with all objects is sent"})
        connection.execute(_RESTORE, {"id": row.id})
        audit.record(connection, actor=actor, action="delivery.released", subject=f"delivery:{row.id}")
