"""Queues the shadow jobs of a trial, a bounded number at a time, and waits for their results.

Nothing is kept but the jobs themselves: who stops the command, or loses it, gives it again and goes on with the units that have none.
"""

import time
from collections import deque
from collections.abc import Callable

from core.counted import counted
from db.engine import Database
from db.jobs.job_records import JobPlan
from db.notify import ChannelListener
from db.operations.pauses import PauseKind, list_pauses
from db.roles.heartbeats import alive_processes
from db.trial.shadow_jobs import open_jobs, queue_shadow_job
from db.trial.stored_units import UnitOnTrial, units_now
from deploy.trial.selection import Routes, TrialUnits

MOST_QUEUED = 20  # shadow jobs at once: clinical work is claimed before them, and a long queue would hide it in listings
PAGE = 500  # units that are read at once
POLL_S = 2.0  # without a notification
TELL_EVERY_S = 15.0
ALIVE_WITHIN_S = 30.0

PlanJob = Callable[[Routes], JobPlan]
Tell = Callable[[str], None]


class TrialRun:
    """Carries a trial out for units that are selected already.

    Attributes
    ----------
    done
        Units that need no further work.
    open
        Jobs of the trial that are queued or running, at most `MOST_QUEUED`.
    """

    def __init__(self, database: Database, units: TrialUnits, digest: str, plan: PlanJob, *, actor: str, tell: Tell) -> None:
        self._database = database
        self._units = units
        self._digest = digest
        self._plan = plan
        self._actor = actor
        self._tell = tell
        self._total = len(units.ids)
        self._pages = units.pages(PAGE)
        self._coming: deque[tuple[UnitOnTrial, Routes]] = deque()
        self._last_told = -TELL_EVERY_S
        self.open: set[int] = set()
        self.done = self._done_before = len(units.ended)

    def finish(self) -> None:
        """Queue what has no job, and wait until every job has ended. May be interrupted at any time: nothing is lost or repeated."""
        self._tell_obstacles()
        listener = ChannelListener(self._database, "delivery")
        began = time.monotonic()
        try:
            while self._fill_queue() or self.open:
                self._tell_progress(time.monotonic() - began)
                listener.wait(POLL_S)
                still_open = open_jobs(self._database, self.open)
                self.done += len(self.open) - len(still_open)
                self.open = still_open
        finally:
            listener.close()
        self._last_told = -TELL_EVERY_S
        self._tell_progress(time.monotonic() - began)

    def _fill_queue(self) -> bool:
        """Queue as many jobs as may wait; return whether units are left."""
        while len(self.open) < MOST_QUEUED and (self._coming or self._read_page()):
            unit, routes = self._coming[0]
            job_id = unit.job_id
            if job_id is None:
                job_id = queue_shadow_job(self._database, unit.id, unit.revision, self._plan(routes), actor=self._actor)
            self._coming.popleft()
            if job_id is not None and not unit.ended:
                self.open.add(job_id)
                self.done -= unit.id in self._units.ended  # a person has requeued it meanwhile
            elif unit.id not in self._units.ended:  # it ended meanwhile, newer images came, or retention has deleted some
                self.done += 1
        return bool(self._coming)

    def _read_page(self) -> bool:
        """Read how far the next units are; return whether there are any."""
        for page in self._pages:
            now = units_now(self._database, self._digest, list(page))
            gone = page.keys() - {unit.id for unit in now}  # erased meanwhile
            self.done += sum(id not in self._units.ended for id in gone)
            self._coming.extend((unit, page[unit.id]) for unit in now)
            if self._coming:
                return True
        return False

    def _tell_progress(self, seconds: float) -> None:
        if seconds - self._last_told < TELL_EVERY_S:
            return
        self._last_told = seconds
        line = f"{self.done} of {counted(self._total, 'unit')} done, {len(self.open)} in the queue"
        done_here = self.done - self._done_before
        if done_here > 0 and seconds > 0:
            rate = done_here / seconds
            line += f", {60 * rate:.1f} a minute"
            if left := self._total - self.done:
                line += f", about {duration_words(left / rate)} left"
        self._tell(line)

    def _tell_obstacles(self) -> None:
        """Say what keeps the jobs waiting, where it is known."""
        waiting = self._units.waiting
        if waiting and not any(one.role == "worker" for one in alive_processes(self._database, ALIVE_WITHIN_S)):
            self._tell("no worker is running: the jobs wait until one is")
        paused = {pause.name for pause in list_pauses(self._database) if pause.kind is PauseKind.ROUTE}
        if held := sum(units for routes, units in waiting.items() if set(routes) <= paused):
            self._tell(f"{counted(held, 'unit waits', 'units wait')}: the route is paused ({', '.join(sorted(paused))})")


def duration_words(seconds: float) -> str:
    """Return a duration as a person says it: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
