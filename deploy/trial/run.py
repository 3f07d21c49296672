"""Queues the shadow jobs of a trial, a bounded number at a time, and waits for their results.

Nothing is kept but the jobs themselves: who stops the command and gives it again goes on with the units that have none.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from db.engine import Database
from db.jobs.job_records import JobPlan
from db.notify import ChannelListener
from db.operations.pauses import PauseKind, list_pauses
from db.roles.heartbeats import alive_processes
from db.trial.shadow_jobs import open_jobs, queue_shadow_job
from deploy.trial.selection import SelectedUnit

MOST_QUEUED = 20  # shadow jobs at once: clinical work is claimed before them, and a long queue would hide it in listings
POLL_S = 2.0  # without a notification
TELL_EVERY_S = 15.0
ALIVE_WITHIN_S = 30.0

PlanJob = Callable[[tuple[str, ...]], JobPlan]
Tell = Callable[[str], None]


class TrialRun:
    """Carries a trial out for units that are selected already.

    Attributes
    ----------
    open
        Jobs of the trial that are queued or running.
    """

    def __init__(self, database: Database, units: Sequence[SelectedUnit], plan: PlanJob, *, actor: str, tell: Tell) -> None:
        self._database = database
        self._plan = plan
        self._actor = actor
        self._tell = tell
        self._total = len(units)
        self._waiting = deque(one for one in units if one.unit.job_id is None)
        self._last_told = -TELL_EVERY_S
        self.open = open_jobs(database, [one.unit.job_id for one in units if one.unit.job_id is not None])
        self._done_before = self.done

    @property
    def done(self) -> int:
        """Units that need no further work."""
        return self._total - len(self._waiting) - len(self.open)

    def finish(self) -> None:
        """Queue what has no job, and wait until every job has ended. May be interrupted at any time: nothing is lost or repeated."""
        self._tell_obstacles()
        listener = ChannelListener(self._database, "delivery")
        began = time.monotonic()
        try:
            while self._waiting or self.open:
                self._fill_queue()
                self._tell_progress(time.monotonic() - began)
                listener.wait(POLL_S)
                self.open = open_jobs(self._database, self.open)
        finally:
            listener.close()
        self._last_told = -TELL_EVERY_S
        self._tell_progress(time.monotonic() - began)

    def _fill_queue(self) -> None:
        while self._waiting and len(self.open) < MOST_QUEUED:
            one = self._waiting[0]
            job_id = queue_shadow_job(self._database, one.unit.id, one.unit.revision, self._plan(one.routes), actor=self._actor)
            self._waiting.popleft()
            if job_id is not None:  # None: newer images came, or retention has deleted some
                self.open.add(job_id)

    def _tell_progress(self, seconds: float) -> None:
        if seconds - self._last_told < TELL_EVERY_S:
            return
        self._last_told = seconds
        line = f"{self.done} of {self._total} units done, {len(self.open)} in the queue"
        done_here = self.done - self._done_before
        if done_here > 0 and seconds > 0:
            rate = done_here / seconds
            line += f", {60 * rate:.1f} a minute"
            if left := self._total - self.done:
                line += f", about {duration_words(left / rate)} left"
        self._tell(line)

    def _tell_obstacles(self) -> None:
        """Say what keeps the jobs waiting, where it is known."""
        if (self._waiting or self.open) and not any(one.role == "worker" for one in alive_processes(self._database, ALIVE_WITHIN_S)):
            self._tell("no worker is running: the jobs wait until one is")
        paused = {pause.name for pause in list_pauses(self._database) if pause.kind is PauseKind.ROUTE}
        if held := [one for one in self._waiting if set(one.routes) <= paused]:
            self._tell(f"{len(held)} units wait because their routes are paused: {', '.join(sorted(paused))}")


def duration_words(seconds: float) -> str:
    """Return a duration as a person says it: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
