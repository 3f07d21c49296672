"""Actions of a person on jobs, deliveries and units. Each has a reason, which is kept in the audit trail."""

from collections.abc import Callable

from db import audit
from db.complete.unrouted import reopen_unrouted
from db.deliveries.delivery_admin import retry_deliveries
from db.engine import Database
from db.jobs.job_admin import cancel_job, requeue_jobs

LONGEST_REASON = 300

Action = Callable[[Database, int, str], bool]
ACTIONS: dict[tuple[str, str], Action] = {
    ("jobs", "requeue"): lambda database, id, actor: bool(requeue_jobs(database, [id], actor)),
    ("jobs", "cancel"): cancel_job,
    ("deliveries", "retry"): lambda database, id, actor: bool(retry_deliveries(database, [id], actor)),
    ("units", "requeue"): lambda database, id, actor: bool(reopen_unrouted(database, [id], actor)),
}


def subject_of(kind: str, row_id: int) -> str:
    """Return the subject of the audit event, as ``job:17``."""
    return f"{kind.removesuffix('s') if kind != 'deliveries' else 'delivery'}:{row_id}"


def carry_out(database: Database, kind: str, row_id: int, verb: str, *, actor: str, reason: str) -> bool:
    """Carry out an action of `ACTIONS` and record the reason; False where the row is in no state in which the action is possible."""
    done = ACTIONS[kind, verb](database, row_id, actor)
    if done:
        audit.record_now(database, actor=actor, action=f"operator.{verb}", subject=subject_of(kind, row_id), details={"reason": reason})
    return done
