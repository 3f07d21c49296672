"""A unit is complete: its evidence, its jobs, their wake-ups, and the end of what older revisions had under way.

One transaction. Rows are locked in the order unit, jobs (by id), deliveries.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, text

from core.failpoints import failpoint
from core.records import CompletionEvidence
from core.states import Outcome
from core.uids import job_key
from db import audit
from db.engine import Database
from db.jobs import not_analysed, outbox
from db.jobs.added_destinations import join
from db.jobs.rerun import unit_name
from db.notify import notify
from db.records import JobPlan, UnitView

_LOCK = text("SELECT id FROM units WHERE id = :id AND state = 'open' AND revision = :revision AND held = :held FOR NO KEY UPDATE")
_INPUTS = text("SELECT id, sha256, sop_instance_uid FROM instances WHERE unit_id = :id AND state = 'current' ORDER BY id")
_COMPLETE = text("""
    UPDATE units SET state = 'complete', evidence = CAST(:evidence AS jsonb), reason = :reason, dropped = :dropped,
        routes = :routes, selected = :selected, outcome = :outcome, completed_at = node_now()
    WHERE id = :id RETURNING completed_at
""")
_JOB_OF_KEY = text("SELECT id, state, outcome, destinations, routes, shadow FROM jobs WHERE key = :key FOR NO KEY UPDATE")
_ADD_JOB = text("""
    INSERT INTO jobs (key, unit_id, revision, run, model, model_version, pipeline_digest, routes, destinations, priority, shadow,
                      evidence, completed_at, last_received_at)
    SELECT :key, :unit_id, :revision, :run, :model, :model_version, :pipeline_digest, :routes, :destinations, :priority, :shadow,
           CAST(:evidence AS jsonb), CAST(:completed_at AS timestamptz), last_received_at FROM units WHERE id = :unit_id
    RETURNING id
""")
_GIVE_UP = text("UPDATE jobs SET state = 'failed', reason = :why WHERE id = :id")
_ADD_INPUTS = text("INSERT INTO job_inputs (job_id, instance_id) SELECT :job_id, unnest(CAST(:instances AS bigint[]))")
_JOIN_JOB = text("""
    UPDATE jobs SET destinations = :destinations, routes = :routes, revision = :revision,
        priority = greatest(priority, :priority), state = CASE WHEN state = 'delivered' AND :more THEN 'reported' ELSE state END
    WHERE id = :id
""")
_OLDER = text("""
    SELECT id, model, shadow FROM jobs
    WHERE unit_id = :unit_id AND revision < :revision AND state NOT IN ('superseded', 'cancelled') AND NOT id = ANY(:kept)
    ORDER BY id FOR NO KEY UPDATE
""")
_SUPERSEDE = text("""
    UPDATE jobs SET state = 'superseded', superseded_by = :by, worker = NULL, token = NULL, lease_until = NULL WHERE id = :id
""")
_END_ATTEMPTS = text("UPDATE attempts SET result = 'superseded', ended_at = node_now() WHERE job_id = ANY(:ids) AND ended_at IS NULL")
_WITHDRAW = text("""
    UPDATE deliveries SET state = 'withdrawn', note = 'superseded before it was delivered', changed_at = node_now()
    WHERE job_id = ANY(:ids) AND state IN ('pending', 'held')
""")


def complete(
    database: Database, unit: UnitView, *, evidence: CompletionEvidence, plans: tuple[JobPlan, ...], routes: tuple[str, ...],
    selected: bool | None, reason: str, dropped: tuple[str, ...] = (),
) -> list[int] | None:  # fmt: skip
    """Close the revision of ``unit`` that was looked at, and queue its jobs.

    Parameters
    ----------
    plans
        One per model, and one for each of its shadows; empty where there is no job, and ``reason`` says why.
    dropped
        SOP Instance UIDs that no model shall see (localizers); other text is kept as a note.

    Returns
    -------
    list of int or None
        Job ids. None, and nothing is written, when an instance came in between: look again.
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
        jobs = _Jobs(connection, unit, values["evidence"], completed_at, frozenset(dropped))
        made = [(plan.model, plan.shadow, jobs.plan(plan)) for plan in plans]
        if not plans:
            details = {"revision": unit.revision, "reason": reason}
            audit.record(connection, actor="conductor", action="unit.not_routed", subject=f"unit:{unit.id}", details=details)
        jobs.supersede_older(made)
        failpoint("complete.written")
    return [id for _, _, id in made]


class _Jobs:
    """The jobs of one completed revision, within the caller's transaction, the unit locked."""

    def __init__(self, connection: Connection, unit: UnitView, evidence: str, completed_at: object, dropped: frozenset[str]) -> None:
        self._connection = connection
        self._unit = unit
        self._facts = {"unit_id": unit.id, "revision": unit.revision, "evidence": evidence, "completed_at": completed_at}
        held = connection.execute(_INPUTS, {"id": unit.id}).all()
        self._hashes = [row.sha256 for row in held]
        self._inputs = [row.id for row in held if row.sop_instance_uid not in dropped]

    def plan(self, plan: JobPlan) -> int:
        """A new job, or the one that does the same already; its id."""
        unit = self._unit
        name = unit_name(unit)
        run = 1
        while True:
            key = job_key(name, self._hashes, plan.pipeline_digest, run)
            same = self._connection.execute(_JOB_OF_KEY, {"key": key}).one_or_none()
            if same is None:
                return self._add(plan, key, run)
            if same.shadow == plan.shadow and same.state not in ("superseded", "cancelled"):
                self._join(same, plan)
                return int(same.id)
            run += 1  # that run is over, or was a shadow's: this is another one

    def _add(self, plan: JobPlan, key: str, run: int) -> int:
        values = asdict(plan) | self._facts | {"key": key, "run": run, "priority": plan.priority.value}
        values |= {"routes": list(plan.routes), "destinations": list(plan.destinations)}
        del values["profiles"], values["failure_reason"]  # as they are when the result is made
        job_id = int(self._connection.execute(_ADD_JOB, values).scalar_one())
        self._connection.execute(_ADD_INPUTS, {"job_id": job_id, "instances": self._inputs})
        if plan.failure_reason:
            self._connection.execute(_GIVE_UP, {"id": job_id, "why": plan.failure_reason})
            not_analysed.owe(self._connection, job_id)
        else:
            outbox.add(self._connection, [job_id])
        audit.record(
            self._connection,
            actor="conductor",
            action="job.failed" if plan.failure_reason else "job.queued",
            subject=f"job:{job_id}",
            details={"unit": self._unit.id, "key": key, "model": plan.model, "digest": plan.pipeline_digest, "routes": list(plan.routes)}
            | ({"shadow": True} if plan.shadow else {}),
        )
        return job_id

    def _join(self, same: Any, plan: JobPlan) -> None:
        """The same input never runs twice on the same pipeline: only the new destinations are added."""
        new = [name for name in plan.destinations if name not in same.destinations]
        made = 0
        if new and same.outcome is not None:  # reported; of one that was given up too
            made = join(self._connection, same.id, new, plan.profiles, plan.priority.value)
        self._connection.execute(
            _JOIN_JOB,
            {
                "id": same.id,
                "destinations": _joined(same.destinations, plan.destinations),
                "routes": _joined(same.routes, plan.routes),
                "revision": self._unit.revision,
                "priority": plan.priority.value,
                "more": made > 0,
            },
        )
        if made:
            notify(self._connection, "delivery")
        details = {"destinations": new, "routes": list(plan.routes)}
        audit.record(self._connection, actor="conductor", action="job.joined", subject=f"job:{same.id}", details=details)

    def supersede_older(self, made: list[tuple[str, bool, int]]) -> None:
        """What older revisions had under way ends; what they have not delivered is withdrawn."""
        kept = [id for _, _, id in made]
        same = {(model, shadow): id for model, shadow, id in made}
        older = self._connection.execute(_OLDER, {"unit_id": self._unit.id, "revision": self._unit.revision, "kept": kept}).all()
        ids = [row.id for row in older]
        if not ids:
            return
        for row in older:
            by = same.get((row.model, row.shadow), kept[0] if kept else None)
            self._connection.execute(_SUPERSEDE, {"id": row.id, "by": by})
            details = {"by": by, "revision": self._unit.revision}
            audit.record(self._connection, actor="conductor", action="job.superseded", subject=f"job:{row.id}", details=details)
        self._connection.execute(_END_ATTEMPTS, {"ids": ids})
        self._connection.execute(_WITHDRAW, {"ids": ids})


def _joined(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))
