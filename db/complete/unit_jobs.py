"""The jobs of one completed revision of a unit: new ones, existing ones that get more destinations, and older ones that end."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, text

from core.states import UnitKind
from core.uids import job_key
from db import audit
from db.complete.unit_records import UnitView
from db.jobs import not_analysed, outbox
from db.jobs.added_destinations import add_destinations
from db.jobs.ended_shadows import EndedShadow, end_shadow
from db.jobs.job_records import JobPlan
from db.jobs.rerun import unit_name
from db.notify import notify

_INPUTS = text("SELECT id, sha256, sop_instance_uid FROM instances WHERE unit_id = :id AND state = 'current' ORDER BY id")
_JOB_OF_KEY = text("SELECT id, state, outcome, destinations, routes, shadow FROM jobs WHERE key = :key FOR NO KEY UPDATE")
_ADD_JOB = text("""
    INSERT INTO jobs (key, unit_id, revision, run, model, model_version, pipeline_digest, routes, destinations, priority, shadow,
                      awaiting_verdict, prior_rule, evidence, completed_at, last_received_at)
    SELECT :key, :unit_id, :revision, :run, :model, :model_version, :pipeline_digest, :routes, :destinations, :priority, :shadow,
           :awaiting_verdict, CAST(:prior_rule AS jsonb), CAST(:evidence AS jsonb), CAST(:completed_at AS timestamptz), last_received_at
    FROM units WHERE id = :unit_id
    RETURNING id
""")
# A destination that was added to a job waits if the new plan says so; what waits already goes on waiting.
_AWAIT = text("UPDATE jobs SET awaiting_verdict = awaiting_verdict || CAST(:added AS text[]) WHERE id = :id")
_FAIL = text("UPDATE jobs SET state = 'failed', reason = :reason WHERE id = :id")
_ADD_INPUTS = text("INSERT INTO job_inputs (job_id, instance_id) SELECT :job_id, unnest(CAST(:instances AS bigint[]))")
_UPDATE_JOB = text("""
    UPDATE jobs SET destinations = :destinations, routes = :routes, revision = :revision,
        priority = greatest(priority, :priority),
        state = CASE WHEN state = 'delivered' AND :has_deliveries THEN 'reported' ELSE state END
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


class UnitJobs:
    """Writes the jobs of one completed revision, in the caller's transaction, with the unit locked. ``actor``: for the audit trail."""

    def __init__(
        self, connection: Connection, unit: UnitView, evidence: str, completed_at: object, dropped: frozenset[str],
        actor: str = "conductor",
    ) -> None:  # fmt: skip
        self._actor = actor
        self._connection = connection
        self._unit = unit
        self._facts = {"unit_id": unit.id, "revision": unit.revision, "evidence": evidence, "completed_at": completed_at}
        held = connection.execute(_INPUTS, {"id": unit.id}).all()
        self._hashes = [row.sha256 for row in held]
        self._inputs = [row.id for row in held if row.sop_instance_uid not in dropped]

    def add(self, plan: JobPlan) -> int:
        """Add the planned job, or the plan's destinations to the job that has its key already; return the job's id."""
        unit = self._unit
        name = unit_name(unit)
        run = 1
        while True:
            key = job_key(name, self._hashes, plan.pipeline_digest, run)
            existing = self._connection.execute(_JOB_OF_KEY, {"key": key}).one_or_none()
            if existing is None:
                return self._insert(plan, key, run)
            if existing.shadow == plan.shadow and existing.state not in ("superseded", "cancelled"):
                self._update(existing, plan)
                return int(existing.id)
            run += 1  # that run has ended, or was a shadow's

    def _insert(self, plan: JobPlan, key: str, run: int) -> int:
        values = asdict(plan) | self._facts | {"key": key, "run": run, "priority": plan.priority.value}
        values |= {"routes": list(plan.routes), "destinations": list(plan.destinations)}
        values["awaiting_verdict"] = list(plan.awaiting_verdict)
        del values["profiles"], values["failure_reason"]
        compares = plan.prior_rule is not None and self._unit.kind is UnitKind.SERIES
        values["prior_rule"] = json.dumps(values["prior_rule"]) if compares else None
        ended = EndedShadow(None)
        if not plan.shadow:
            ended = end_shadow(self._connection, unit_id=self._unit.id, digest=plan.pipeline_digest, revision=self._unit.revision)
        job_id = int(self._connection.execute(_ADD_JOB, values).scalar_one())
        ended.name_successor(self._connection, job_id, actor=self._actor)
        self._connection.execute(_ADD_INPUTS, {"job_id": job_id, "instances": self._inputs})
        if plan.failure_reason:
            self._connection.execute(_FAIL, {"id": job_id, "reason": plan.failure_reason})
            not_analysed.require_report(self._connection, job_id)
        else:
            outbox.add_wake_ups(self._connection, [job_id])
        audit.record(
            self._connection,
            actor=self._actor,
            action="job.failed" if plan.failure_reason else "job.queued",
            subject=f"job:{job_id}",
            details={"unit": self._unit.id, "key": key, "model": plan.model, "digest": plan.pipeline_digest, "routes": list(plan.routes)}
            | ({"shadow": True} if plan.shadow else {}),
        )
        return job_id

    def _update(self, existing: Any, plan: JobPlan) -> None:
        """Add routes and destinations to a job: the same input never runs twice on the same pipeline."""
        new = [name for name in plan.destinations if name not in existing.destinations]
        deliveries = 0
        if waiting := [name for name in new if name in plan.awaiting_verdict]:
            self._connection.execute(_AWAIT, {"id": existing.id, "added": waiting})
        if new and existing.outcome is not None:  # its result is made, or the report that it was not analysed
            deliveries = add_destinations(self._connection, existing.id, new, plan.profiles, plan.priority.value)
        self._connection.execute(
            _UPDATE_JOB,
            {
                "id": existing.id,
                "destinations": _union(existing.destinations, plan.destinations),
                "routes": _union(existing.routes, plan.routes),
                "revision": self._unit.revision,
                "priority": plan.priority.value,
                "has_deliveries": deliveries > 0,
            },
        )
        if deliveries:
            notify(self._connection, "delivery")
        details = {"destinations": new, "routes": list(plan.routes)}
        audit.record(self._connection, actor=self._actor, action="job.joined", subject=f"job:{existing.id}", details=details)

    def supersede_older(self, planned: list[tuple[str, bool, int]]) -> None:
        """End the jobs of older revisions and withdraw what they have not delivered.

        ``planned``: (model, shadow, job id) of the jobs of this revision.
        """
        kept = [id for _, _, id in planned]
        successors = {(model, shadow): id for model, shadow, id in planned}
        older = self._connection.execute(_OLDER, {"unit_id": self._unit.id, "revision": self._unit.revision, "kept": kept}).all()
        ids = [row.id for row in older]
        if not ids:
            return
        for row in older:
            by = successors.get((row.model, row.shadow), kept[0] if kept else None)
            self._connection.execute(_SUPERSEDE, {"id": row.id, "by": by})
            details = {"by": by, "revision": self._unit.revision}
            audit.record(self._connection, actor=self._actor, action="job.superseded", subject=f"job:{row.id}", details=details)
        self._connection.execute(_END_ATTEMPTS, {"ids": ids})
        self._connection.execute(_WITHDRAW, {"ids": ids})


def _union(first: Iterable[str], second: Iterable[str]) -> list[str]:
    """Return both lists without repetitions, in order."""
    return list(dict.fromkeys([*first, *second]))
