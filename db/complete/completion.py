"""Completes a revision of a unit: its evidence, its jobs and their wake-ups, and the end of what older revisions had under way.

All in one transaction, which locks rows in the order unit, jobs (by id), deliveries.
"""

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import text

from core.failpoints import failpoint
from core.records import CompletionEvidence
from core.states import Outcome
from db import audit
from db.complete.unit_jobs import UnitJobs
from db.complete.unit_records import UnitView
from db.engine import Database
from db.jobs.job_records import JobPlan

_LOCK = text("SELECT id FROM units WHERE id = :id AND state = 'open' AND revision = :revision AND held = :held FOR NO KEY UPDATE")
_COMPLETE = text("""
    UPDATE units SET state = 'complete', evidence = CAST(:evidence AS jsonb), reason = :reason, dropped = :dropped,
        routes = :routes, selected = :selected, outcome = :outcome, completed_at = node_now()
    WHERE id = :id RETURNING completed_at
""")


def complete_unit(
    database: Database, unit: UnitView, *, evidence: CompletionEvidence, plans: tuple[JobPlan, ...], routes: tuple[str, ...],
    selected: bool | None, reason: str, dropped: tuple[str, ...] = (),
) -> list[int] | None:  # fmt: skip
    """Complete the revision of ``unit`` that was read, and queue its jobs.

    Parameters
    ----------
    plans
        One per model, and one for each of its shadows; empty if there is no job, and ``reason`` says why.
    routes
        Names of the routes that took the unit.
    selected
        Whether ``per_study = "best"`` selected the series; None where it does not apply.
    dropped
        SOP Instance UIDs that are not analysed (localizers); other text is kept as a note.

    Returns
    -------
    list of int or None
        Job ids. None, and nothing is written, if an instance was received since the unit was read: it must be read again.
    """
    with database.begin() as connection:
        locked = connection.execute(_LOCK, {"id": unit.id, "revision": unit.revision, "held": unit.held}).one_or_none()
        if locked is None:
            return None
        facts = asdict(evidence) | {"at": evidence.at.isoformat()}
        values: dict[str, Any] = {
            "id": unit.id,
            "evidence": json.dumps(facts),
            "reason": reason,
            "dropped": list(dropped),
            "routes": list(routes),
            "selected": selected,
            "outcome": None if plans else Outcome.NOT_ANALYSED.value,
        }
        completed_at = connection.execute(_COMPLETE, values).scalar_one()
        audit.record(
            connection,
            actor="conductor",
            action="unit.completed",
            subject=f"unit:{unit.id}",
            details={"revision": unit.revision, "rule": evidence.rule, "held": evidence.held, "expected": evidence.expected},
        )
        jobs = UnitJobs(connection, unit, values["evidence"], completed_at, frozenset(dropped))
        planned = [(plan.model, plan.shadow, jobs.add(plan)) for plan in plans]
        if not plans:
            details = {"revision": unit.revision, "reason": reason}
            audit.record(connection, actor="conductor", action="unit.not_routed", subject=f"unit:{unit.id}", details=details)
        jobs.supersede_older(planned)
        failpoint("complete.written")
    return [id for _, _, id in planned]
