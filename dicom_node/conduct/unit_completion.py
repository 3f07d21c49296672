"""Decides on one unit: whether it is complete, which routes claim it, and which jobs follow."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from core.failpoints import failpoint
from core.logs import logs_debug
from core.policy.completeness import count_is_due
from core.settings.routes import Route
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.complete import units
from db.complete.completion import complete_unit
from db.complete.unit_records import UnitView
from db.engine import Database
from db.jobs.job_records import JobPlan
from db.operations import model_registry
from dicom_node.conduct.best_series import BestSeriesChooser, SeriesChoice
from dicom_node.conduct.expected_counts import ExpectedCounts
from dicom_node.conduct.image_search.lung_evidence import LungEvidence
from dicom_node.conduct.job_plans import job_plans
from dicom_node.conduct.model_versions import served_versions
from dicom_node.conduct.route_claims import RouteClaim
from dicom_node.conduct.unit_contents import UnitContents
from dicom_node.conduct.unit_routes import match_unit_routes
from dicom_node.conduct.unit_snapshot import UnitSnapshot, completion_policy, read_unit
from models import installed

COUNT_POLL_S = 0.3  # while the source is asked for its count
IMAGE_POLL_S = 0.3  # while the images are searched for lungs
CHOICE_POLL_S = 1.0  # while another series of the study is not complete


class UnitCompletion:
    """Reads units, and completes them: evidence, jobs and outbox rows are written in one transaction.

    Attributes
    ----------
    completed
        How many units this process has completed.
    """

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._policy = completion_policy(settings.completion)
        self._counts = ExpectedCounts(settings, database)
        self._lungs = LungEvidence()
        self._chooser = BestSeriesChooser(database, self._policy, self._match_routes)
        self.completed = 0
        self._log = structlog.get_logger()

    def close(self) -> None:
        """Start no more queries of sources and no more searches for lungs."""
        self._counts.close()
        self._lungs.close()

    def process(self, unit: UnitView, now: datetime) -> bool:
        """Complete a unit that is due, or set the time at which it is due again. Returns False while its images are searched for lungs.

        Raises
        ------
        ImagesUnreadable
            Its images are missing, or cannot be read now.
        """
        snapshot = read_unit(self._database, unit, self._policy, now)
        counting = count_is_due(snapshot.progress, self._policy, now) and self._counts.request(unit)
        if logs_debug():
            self._log_decision(snapshot, now)
        due_at, searching = snapshot.decision.next_check_at, False
        if due_at is None:
            due_at, searching = self._route(snapshot, now)
        if due_at is None:
            return True
        if counting:
            due_at = min(due_at, now + timedelta(seconds=COUNT_POLL_S))
        reason = unit.reason if searching else ""  # a search that failed is repeated, and the reason stays until one has ended
        units.postpone_check(self._database, unit.id, revision=unit.revision, until=due_at, reason=reason)
        return not searching

    def _log_decision(self, snapshot: UnitSnapshot, now: datetime) -> None:
        unit, decision = snapshot.unit, snapshot.decision
        self._log.debug(
            "unit_checked",
            unit=unit.id,
            revision=unit.revision,
            held=unit.held,
            expected=decision.expected,
            state="complete" if decision.complete else "open",
            rule=decision.rule,
            reason=decision.reason,
            seconds=None if decision.next_check_at is None else round((decision.next_check_at - now).total_seconds(), 3),
        )

    def _match_routes(self, unit: UnitView, contents: UnitContents) -> RouteClaim:
        return match_unit_routes(self._settings.routes, self._database, self._blobs, unit.source, contents, self._lungs.request)

    def _route(self, snapshot: UnitSnapshot, now: datetime) -> tuple[datetime | None, bool]:
        """Queue jobs for a complete unit, or record why there are none.

        Returns a time where it waits for other series of its study, or for the search for lungs in its images, and whether for the latter.
        """
        assert snapshot.contents is not None  # the headers of a complete unit were read
        claim = self._match_routes(snapshot.unit, snapshot.contents)
        kind = claim.reason.partition(":")[0]  # what follows quotes the header, for the console
        names = [route.name for route in claim.routes]
        self._log.debug("unit_routed", unit=snapshot.unit.id, routes=names, conditions=claim.conditions, reason=kind)
        if claim.waiting:
            return now + timedelta(seconds=IMAGE_POLL_S), True
        choice = SeriesChoice(claim.routes, None, ())
        if any(route.per_study == "best" for route in claim.routes):
            best = self._chooser.choose(snapshot, claim.routes, now)
            if best is None:
                self._log.debug("unit_waits", unit=snapshot.unit.id, reason="another series that the same route takes is not complete")
                return now + timedelta(seconds=CHOICE_POLL_S), False
            choice = best
        plans, problems = self._job_plans(choice.routes)
        reasons = [claim.reason, *problems, *choice.reasons]
        self._complete(snapshot, plans, claim.routes, choice.selected, "; ".join(reason for reason in reasons if reason))
        return None, False

    def _job_plans(self, routes: Sequence[Route]) -> tuple[tuple[JobPlan, ...], list[str]]:
        folder = self._settings.node.data_dir / installed.FOLDER
        plans, problems = job_plans(
            routes, lambda model: served_versions(model, model_registry.registered_models(self._database, model), folder)
        )
        for problem in problems:
            self._log.error("route_cannot_be_followed", reason=problem)
        profiles = self._settings.result_profiles
        return tuple(replace(plan, profiles=profiles) for plan in plans), problems

    def _complete(
        self, snapshot: UnitSnapshot, plans: tuple[JobPlan, ...], routes: Sequence[Route], selected: bool | None, reason: str
    ) -> None:
        unit = snapshot.unit
        assert snapshot.contents is not None
        failpoint("complete.decided")
        jobs = complete_unit(
            self._database,
            unit,
            evidence=snapshot.decision.evidence(unit.held, self._database.now()),
            plans=plans,
            routes=tuple(route.name for route in routes),
            selected=selected,
            reason=reason,
            dropped=(*snapshot.contents.dropped, snapshot.contents.note) if snapshot.contents.dropped else (),
        )
        if jobs is None:
            self._log.info("unit_changed_during_decision", unit=unit.id)
            return
        failpoint("complete.committed")
        self.completed += 1
        self._log_jobs(unit.id, jobs, plans)
        rule, names = snapshot.decision.rule, [route.name for route in routes]
        kind = reason.partition(":")[0]
        self._log.info("unit_complete", unit=unit.id, rule=rule, held=unit.held, routes=names, count=len(jobs), reason=kind)

    def _log_jobs(self, unit: int, jobs: Sequence[int], plans: Sequence[JobPlan]) -> None:
        for job, plan in zip(jobs, plans, strict=True):
            self._log.debug(
                "job_queued",
                job=job,
                unit=unit,
                model=plan.model,
                version=plan.model_version,
                digest=plan.pipeline_digest[:12],
                kind="shadow" if plan.shadow else "reported",
                priority=plan.priority.value,
                destination=", ".join(plan.destinations),
                reason=plan.failure_reason,
            )
