"""Sends objects of results again, also what was stored or committed, to the same or another destination; audited with the reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from db import audit
from db.deliveries import delivery_order
from db.deliveries.delivery_admin import forget_commitment_requests
from db.deliveries.job_completion import lock_jobs
from db.deliveries.resend_plan import PlannedSending, ResendSelection, ResendTargets, read_plan
from db.engine import Database
from db.notify import notify

_AGAIN = text("""
    UPDATE deliveries SET state = 'pending', next_attempt_at = node_now(), changed_at = node_now(), resent_at = node_now(), attempts = 0,
        resends = 0, commitment_id = NULL, commit_wanted = false, committed_at = NULL, note = :note
    WHERE id = ANY(:ids) AND state IN ('stored', 'committed', 'failed', 'held', 'given_up') AND NOT awaiting_verdict
    RETURNING id
""")
_ADD = text("""
    INSERT INTO deliveries (job_id, report_id, destination, priority, state, note, resent_at)
    VALUES (:job_id, :report_id, :destination, :priority, 'pending', :note, node_now())
    ON CONFLICT DO NOTHING RETURNING id
""")
# A destination that receives a result receives what supersedes it, too.
_UNFINISHED = text("""
    UPDATE jobs SET state = CASE WHEN state = 'delivered' THEN 'reported' ELSE state END,
        destinations = destinations || ARRAY(SELECT unnest(CAST(:added AS text[])) EXCEPT SELECT unnest(destinations))
    WHERE id = :id
""")


@dataclass(frozen=True, slots=True)
class Resent:
    """Numbers of deliveries that are due now: those that are sent again, and those of objects that the destination never had."""

    again: tuple[int, ...] = ()
    first: tuple[int, ...] = ()

    @property
    def all(self) -> list[int]:
        """All of them."""
        return [*self.again, *self.first]

    def __str__(self) -> str:
        parts = ((self.again, "sent again"), (self.first, "sent for the first time"))
        words = [f"{len(ids)} object{' is' if len(ids) == 1 else 's are'} {what}" for ids, what in parts if ids]
        return " and ".join(words) or "nothing is sent"


def resend(database: Database, selection: ResendSelection, targets: ResendTargets, *, actor: str, reason: str) -> Resent:
    """Make the selected objects due now; return the numbers of their deliveries. Each result is one transaction.

    What is not sent, and why, is in the plan (`db.deliveries.resend_plan`), which is made anew here.
    """
    with database.begin() as connection:
        jobs = sorted({row.job_id for row in read_plan(connection, selection, targets) if not row.refusal})
    done = Resent()
    for job in jobs:
        more = resend_selected(database, selection, job, targets, actor=actor, reason=reason)
        done = Resent(done.again + more.again, done.first + more.first)
    return done


def resend_selected(database: Database, selection: ResendSelection, job: int, targets: ResendTargets, *, actor: str, reason: str) -> Resent:
    """Make the selected objects of one result due now, in one transaction; return the numbers of their deliveries."""
    with database.begin() as connection:
        lock_jobs(connection, [job])
        plan = [row for row in read_plan(connection, replace(selection, jobs=(job,)), targets) if not row.refusal]
        return _resend_result(connection, job, plan, actor=actor, reason=reason)


def _resend_result(connection: Connection, job: int, plan: Sequence[PlannedSending], *, actor: str, reason: str) -> Resent:
    """Send what is planned of one result, whose job is locked."""
    who = actor.partition(":")[2] or actor
    again = sorted(row.delivery_id for row in plan if row.delivery_id is not None)
    forget_commitment_requests(connection, again)
    done = sorted(connection.execute(_AGAIN, {"ids": again, "note": f"sent again by {who}: {reason}"}).scalars())
    delivery_order.restore_replaced_reports(connection, done, actor)
    added = sorted(_add(connection, [row for row in plan if row.delivery_id is None], f"sent for {who}: {reason}"))
    if not done and not added:
        return Resent()
    destinations = sorted({row.destination for row in plan})
    connection.execute(_UNFINISHED, {"id": job, "added": destinations if added else []})
    details = {"destinations": destinations, "deliveries": done, "added": added, "reason": reason}
    audit.record(connection, actor=actor, action="job.resent", subject=f"job:{job}", details=details)
    notify(connection, "delivery")
    return Resent(tuple(done), tuple(added))


def _add(connection: Connection, rows: Iterable[PlannedSending], note: str) -> list[int]:
    added = []
    for row in rows:
        values = {"job_id": row.job_id, "report_id": row.report_id, "destination": row.destination, "priority": row.priority, "note": note}
        added += list(connection.execute(_ADD, values).scalars())
    return added
