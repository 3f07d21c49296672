"""The leases of the jobs of one attempt, renewed while the work goes on; lost for good once they are lost."""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import structlog

from core.errors import LeaseLost, StorageError
from db.engine import Database
from db.jobs import job_leases
from db.records import ClaimedJob
from workers.attempt.drain_flag import DrainFlag

RENEWALS_PER_LEASE = 4
DRAIN_GRACE_S = 15.0  # what a running job gets to finish when the worker stops; then it is given back

log = structlog.get_logger()


class Lease:
    """``with Lease(...) as lease: ... lease.check(job)``: the thread beside the work.

    A lease is lost when the database says so, when it could not be renewed until it ran out, or when the worker
    drains and the work takes longer than ``grace_s``: then every job that has not ended is released, the attempt does not
    count, and ``given_back`` is called (a child ends there: what it computes is of no use any more).
    """

    def __init__(
        self, database: Database, held: Sequence[ClaimedJob], lease_s: float, draining: DrainFlag, *,
        grace_s: float = DRAIN_GRACE_S, given_back: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._held = {job.id: job for job in held}
        self._lease_s = lease_s
        self._draining = draining
        self._grace_s = grace_s
        self._given_back = given_back
        self._stop = threading.Event()
        self._lost: dict[int, str] = {}
        self._until = dict.fromkeys(self._held, time.monotonic() + lease_s)
        self._thread = threading.Thread(target=self._renew, name=f"lease-{'-'.join(map(str, self._held))}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def lost(self, job: ClaimedJob) -> bool:
        return job.id in self._lost

    def held(self) -> tuple[ClaimedJob, ...]:
        """Those that have not ended."""
        return tuple(self._held.values())

    def check(self, job: ClaimedJob) -> None:
        """Go on only with the lease.

        Raises
        ------
        LeaseLost
            It is lost; nothing may be written.
        """
        if job.id in self._lost:
            raise LeaseLost(f"job {job.id}: {self._lost[job.id]}", hint="nothing was written")

    def done(self, job: ClaimedJob) -> None:
        """Its attempt has ended: it is not renewed, and not given back."""
        self._held.pop(job.id, None)

    def _lose(self, job: ClaimedJob, why: str) -> None:
        self._lost[job.id] = why
        self.done(job)

    def _renew(self) -> None:
        pause = self._lease_s / RENEWALS_PER_LEASE
        renew_at = time.monotonic() + pause
        drains_since: float | None = None
        while not self._stop.wait(min(pause, 0.5)):
            now = time.monotonic()
            if self._draining.is_set():
                drains_since = now if drains_since is None else drains_since
                if now - drains_since >= self._grace_s:
                    self._give_back()
                    return
            if now >= renew_at:
                asked = [self._renewed(job, now) for job in self.held()]
                renew_at = now + pause if all(asked) else renew_at

    def _renewed(self, job: ClaimedJob, now: float) -> bool:
        """False: the database could not be asked."""
        try:
            if not job_leases.renew(self._database, job, self._lease_s):
                self._lose(job, "the lease is another's, or the unit has moved on")
            self._until[job.id] = now + self._lease_s
            return True
        except StorageError as error:
            log.warning("a lease could not be renewed", job=job.id, error=str(error))
            if time.monotonic() >= self._until[job.id]:
                self._lose(job, "the database was out of reach until the lease ran out")
            return False

    def _give_back(self) -> None:
        for job in self.held():
            self._lose(job, "the worker stops, and the job was given back")
            try:
                job_leases.release(self._database, job)
                log.info("job given back", job=job.id, reason="the worker stops")
            except (LeaseLost, StorageError) as error:
                log.warning("a job could not be given back; its lease runs out", job=job.id, error=str(error))
        if self._given_back is not None:
            self._given_back()
