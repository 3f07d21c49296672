"""The role ``conduct``: decides when a unit is complete, which route takes it, and queues its jobs.

One loop; what may take long runs beside it: C-FIND in `counts`, contents in `comparing`. Two conductors do no harm:
`db.complete.units.complete` compares and sets.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from core.errors import NodeError
from core.failpoints import step
from core.policy.completeness import wants_count
from core.settings.routes import Route
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.complete import units
from db.engine import Database
from db.notify import Waiter
from db.operations import model_registry as model_rows
from db.receive import admission
from db.records import JobPlan, UnitView
from dicom_node.conduct.best_series import Choice, Choosing
from dicom_node.conduct.content_comparison import Comparing
from dicom_node.conduct.expected_counts import Counts
from dicom_node.conduct.held_unit_routing import judged
from dicom_node.conduct.model_versions import versions_of
from dicom_node.conduct.route_claims import Claim, Contents, plans
from dicom_node.conduct.unit_snapshot import Look, look, policy_of
from dicom_node.role import Backoff, Beating
from models import installed

UNITS_AT_ONCE = 50
WAIT_S = 0.5
SHORTEST_S = 0.02  # another conductor may be looking at what is due
REAP_EVERY_S = 5.0
SWEEP_EVERY_S = 10.0
WHILE_ASKING_S = 0.3
WHILE_CHOOSING_S = 1.0


def run(settings: Settings, database: Database, blobs: Blobs, stop: threading.Event) -> None:
    """Conduct until ``stop`` is set. A database that is away is waited for."""
    conductor = Conductor(settings, database, blobs)
    waiter = Waiter(database, "intake")
    backoff = Backoff(stop)
    comparing = Comparing(database, blobs, stop)
    comparing.start()
    with Beating(database, "conduct", conductor.details):
        while not stop.is_set():
            try:
                again_s = conductor.turn()
                backoff.worked()
            except NodeError as error:
                backoff.failed("the conductor waits", error)
                continue
            if again_s > 0:
                waiter.wait(min(again_s, WAIT_S))
    conductor.close()
    comparing.join(5.0)
    waiter.close()


class Conductor:
    """Looks at due units, turn by turn."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._policy = policy_of(settings.completion)
        self._counts = Counts(settings, database)
        self._choosing = Choosing(database, self._policy, self._claim)
        self._reaped = 0.0
        self._swept = -SWEEP_EVERY_S  # the monotonic clock may start at zero with the machine
        self._completed = 0
        self._log = structlog.get_logger()

    def details(self) -> dict[str, str]:
        """For the heartbeat."""
        return {"completed": str(self._completed)}

    def close(self) -> None:
        """Start nothing more."""
        self._counts.close()

    def turn(self) -> float:
        """Look at what is due. Returns how many seconds may pass until the next turn; 0 where more is waiting."""
        if time.monotonic() - self._reaped > REAP_EVERY_S:
            lost = admission.reap_associations(self._database)
            if lost:
                self._log.warning("associations of a listener that is gone count as lost", count=lost)
            self._reaped = time.monotonic()
        self._sweep()
        due = units.due(self._database, limit=UNITS_AT_ONCE)
        now = self._database.now()
        for unit in due:
            self._guarded(unit, now)
        if len(due) == UNITS_AT_ONCE:
            return 0.0
        soonest = units.soonest(self._database)
        return WAIT_S if soonest is None else max(SHORTEST_S, min(soonest, WAIT_S))

    def _sweep(self) -> None:
        """Remove the temporary files of killed writers: nobody writes to one for longer than it may be silent on the network."""
        if time.monotonic() - self._swept < SWEEP_EVERY_S:
            return
        self._swept = time.monotonic()
        if removed := self._blobs.sweep(2 * self._settings.receive.network_timeout_s + SWEEP_EVERY_S):
            self._log.warning("temporary files of killed processes removed", count=removed)

    def _guarded(self, unit: UnitView, now: datetime) -> None:
        """One unit; what is wrong with it must not keep the others waiting."""
        try:
            self._look(unit, now)
            return
        except NodeError as error:
            if not error.permanent:
                raise
            self._log.error("a unit cannot be decided on", unit=unit.id, error=str(error))
        except Exception as error:
            self._log.error("a unit cannot be decided on", unit=unit.id, exception=type(error).__name__, exc_info=True)
        units.postpone(self._database, unit.id, revision=unit.revision, until=now + timedelta(seconds=30))

    def _look(self, unit: UnitView, now: datetime) -> None:
        seen = look(self._database, unit, self._policy, now)
        asking = wants_count(seen.progress, self._policy, now) and self._counts.ask(unit)
        until = seen.decision.look_again_at
        if until is None and (choice := self._route(seen, now)) is not None:
            until = choice
        if until is None:
            return
        if asking:
            until = min(until, now + timedelta(seconds=WHILE_ASKING_S))
        units.postpone(self._database, unit.id, revision=unit.revision, until=until)

    def _claim(self, unit: UnitView, held: Contents) -> Claim:
        return judged(self._settings.routes, self._database, self._blobs, unit.source, held)

    def _route(self, seen: Look, now: datetime) -> datetime | None:
        """Queue jobs for a complete unit, or record why there are none. A time: it has to wait for others of its study."""
        unit, held = seen.unit, seen.contents
        assert held is not None  # a unit that is complete has been looked at
        claimed = self._claim(unit, held)
        choice = Choice(claimed.routes, None, ())
        if any(route.per_study == "best" for route in claimed.routes):
            answer = self._choosing.choose(seen, claimed.routes, now)
            if answer is None:
                return now + timedelta(seconds=WHILE_CHOOSING_S)
            choice = answer
        planned, problems = self._plans(choice.routes)
        reasons = [claimed.reason, *problems, *choice.reasons]
        self._complete(seen, planned, claimed.routes, choice.chosen, "; ".join(reason for reason in reasons if reason))
        return None

    def _plans(self, routes: Sequence[Route]) -> tuple[tuple[JobPlan, ...], list[str]]:
        folder = self._settings.node.data_dir / installed.FOLDER
        planned, problems = plans(routes, lambda model: versions_of(model, model_rows.known(self._database, model), folder))
        for problem in problems:
            self._log.error("a route cannot be followed", reason=problem)
        profiles = self._settings.result_profiles
        return tuple(replace(plan, profiles=profiles) for plan in planned), problems

    def _complete(self, seen: Look, planned: tuple[JobPlan, ...], routes: Sequence[Route], selected: bool | None, reason: str) -> None:
        unit = seen.unit
        assert seen.contents is not None
        step("complete.decided")
        jobs = units.complete(
            self._database,
            unit,
            evidence=seen.decision.evidence(unit.held, self._database.now()),
            plans=planned,
            routes=tuple(route.name for route in routes),
            selected=selected,
            reason=reason,
            dropped=(*seen.contents.dropped, seen.contents.note) if seen.contents.dropped else (),
        )
        if jobs is None:
            self._log.info("something came in while a unit was decided on", unit=unit.id)
            return
        step("complete.committed")
        self._completed += 1
        names = [route.name for route in routes]
        self._log.info("unit complete", unit=unit.id, rule=seen.decision.rule, held=unit.held, routes=names, count=len(jobs), reason=reason)
