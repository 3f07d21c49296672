"""In which order the objects of a result reach a destination: a report follows what it names, a rejection follows everything.

A report that overtook its segmentation would point at nothing, for as long as the destination refuses that. So it waits until
the destination has stored every object that it names. Where one of them is refused for good, or held, the report that names no
other object (``workers.results.objects`` keeps one) goes instead: a destination gets an answer, and never a name of what it was not
given. The objects that it did take stand beside it. When a person has the refused object sent again before that report was
taken, the naming one has its place back.

A rejection (IOCM) of an older result's objects waits for the new result: rejected first, they would leave nothing.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from core.states import DeliveryState
from db import audit
from db.deliveries.job_completion import lock_jobs

# ``r`` is a report's row, ``o`` that of another object: whether the report names it. What failed our check is named by none.
_NAMED = "r.kind = 'sr' AND o.kind <> 'sr' AND o.problems = '{}' AND o.kind = ANY(string_to_array(split_part(r.profile, '@', 1), '+'))"
_BESIDE = "c.job_id = d.job_id AND c.destination = d.destination AND c.id <> d.id"

# Of a delivery ``d``: whether something has to be there first.
MUST_WAIT = f"""
    EXISTS (
        SELECT FROM reports r, deliveries c JOIN reports o ON o.id = c.report_id
        WHERE r.id = d.report_id AND {_BESIDE}
          AND (({_NAMED} AND c.state NOT IN ('stored', 'committed'))
               OR (r.kind = 'rejection' AND o.kind <> 'rejection'
                   AND (c.state IN ('pending', 'sending') OR (o.kind = 'sr' AND c.state IN ('held', 'failed'))))))
"""
# Due again when what it waits for is: not looked at in every claim until then.
_FOLLOW = text(f"""
    UPDATE deliveries d SET next_attempt_at = greatest(d.next_attempt_at, c.next_attempt_at), note = 'waits for: ' || o.kind
    FROM deliveries c JOIN reports o ON o.id = c.report_id, reports r
    WHERE c.id = :id AND {_BESIDE} AND d.state = 'pending' AND r.id = d.report_id AND {_NAMED}
""")
_WAITING_IN_VAIN = f"""
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id
    JOIN deliveries c ON {_BESIDE} JOIN reports o ON o.id = c.report_id
    WHERE d.state = 'pending' AND j.state <> 'superseded' AND {_NAMED} AND c.state IN ('held', 'failed')
"""
_JOBS = text(f"SELECT DISTINCT d.job_id {_WAITING_IN_VAIN}")
_IN_VAIN = text(f"""
    SELECT d.id, d.job_id, d.destination, d.priority, string_agg(DISTINCT o.kind, ', ') AS missing,
           (SELECT p.id FROM reports p WHERE p.job_id = d.job_id AND p.problems = '{{}}' AND p.profile IN ('sr', 'sr@' || d.destination)
            ORDER BY p.profile DESC LIMIT 1) AS plain
    {_WAITING_IN_VAIN} AND d.job_id = ANY(:jobs) GROUP BY d.id ORDER BY d.id
""")
_END = text("UPDATE deliveries SET state = :state, note = :note, changed_at = node_now() WHERE id = :id")
_SEND_PLAIN = text("""
    INSERT INTO deliveries (job_id, report_id, destination, priority, state, note)
    VALUES (:job_id, :plain, :destination, :priority, 'pending', '')
    ON CONFLICT (report_id, destination) DO UPDATE
        SET state = 'pending', note = '', attempts = 0, next_attempt_at = node_now(), changed_at = node_now()
        WHERE deliveries.state = 'withdrawn'
""")
# What a person sent again, the report that names it and was withdrawn for it, and the one that stands in and is not there yet.
_REPLACED = text(f"""
    SELECT DISTINCT d.id, p.id AS plain
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id
    JOIN deliveries c ON {_BESIDE} JOIN reports o ON o.id = c.report_id
    JOIN deliveries p ON p.job_id = d.job_id AND p.destination = d.destination AND p.state IN ('pending', 'held', 'failed')
    JOIN reports q ON q.id = p.report_id AND q.profile IN ('sr', 'sr@' || d.destination)
    WHERE c.id = ANY(:ids) AND d.state = 'withdrawn' AND j.state <> 'superseded' AND {_NAMED} ORDER BY d.id
""")
_BACK = text("""
    UPDATE deliveries SET state = 'pending', note = '', attempts = 0, next_attempt_at = node_now(), changed_at = node_now() WHERE id = :id
""")


def follow(connection: Connection, delivery_id: int) -> None:
    """This one is tried again later: a report that names it is, too."""
    connection.execute(_FOLLOW, {"id": delivery_id})


def stand_in(connection: Connection) -> int:
    """Reports that wait for what will not come are replaced by the one that names nothing; held where there is none. How many."""
    jobs = sorted(connection.execute(_JOBS).scalars())
    if not jobs:
        return 0
    lock_jobs(connection, jobs)
    rows = connection.execute(_IN_VAIN, {"jobs": jobs}).all()
    for row in rows:
        _replace(connection, row)
    return len(rows)


def _replace(connection: Connection, row: Any) -> None:
    why = f"it names what the destination has not taken ({row.missing})"
    if row.plain is None:
        note, state = f"{why}: send that again, or run the job again", DeliveryState.HELD
    else:
        note, state = f"{why}: a report without other objects goes instead", DeliveryState.WITHDRAWN
        values = {"job_id": row.job_id, "plain": row.plain, "destination": row.destination, "priority": row.priority}
        connection.execute(_SEND_PLAIN, values)
    connection.execute(_END, {"id": row.id, "state": state.value, "note": note})
    details = {"destination": row.destination, "job": row.job_id, "missing": row.missing}
    audit.record(connection, actor="sender", action=f"delivery.{state.value}", subject=f"delivery:{row.id}", details=details)


def give_back(connection: Connection, ids: Sequence[int], actor: str) -> None:
    """These are sent again: a report that was withdrawn for one of them has its place back. The jobs are locked."""
    for row in connection.execute(_REPLACED, {"ids": list(ids)}).all():
        connection.execute(_END, {"id": row.plain, "state": DeliveryState.WITHDRAWN.value, "note": "the report with all objects goes"})
        connection.execute(_BACK, {"id": row.id})
        audit.record(connection, actor=actor, action="delivery.released", subject=f"delivery:{row.id}")
