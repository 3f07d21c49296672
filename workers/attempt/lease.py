"""Renews the leases of the jobs of one attempt in a thread beside the work."""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import structlog

from core.errors import LeaseLost, StorageError
from db.engine import Database
from db.jobs import job_leases
from db.jobs.job_records import ClaimedJob
from workers.child.drain_flag import DrainFlag

RENEWALS_PER_LEASE = 4
DRAIN_GRACE_S = 15.0  # how long a running job may go on after the worker was stopped; then it is given back

log = structlog.get_logger()


class Lease:
    """``with Lease(...) as lease: ... lease.check(job)`` renews the leases while the work goes on.

    A lease is lost when the database says so, or when it could not be renewed before it expired. It is also lost when the worker
    drains and the work takes longer than ``grace_s``: then every job whose attempt has not ended is released, the attempt does not
    count, and ``given_back`` is called (in a child it ends the process, because the computation is of no use any more).
    A lost lease cannot be regained.
    """

    def __init__(
        self, database: Database, jobs: Sequence[ClaimedJob], lease_s: float, draining: DrainFlag, *,
        grace_s: float = DRAIN_GRACE_S, given_back: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._held = {job.id: job for job in jobs}
        self._lease_s = lease_s
        self._draining = draining
        self._grace_s = grace_s
        self._given_back = given_back
        self._stop = threading.Event()
        self._lost: dict[int, str] = {}  # job id -> reason
        self._expires = dict.fromkeys(self._held, time.monotonic() + lease_s)
        self._thread = threading.Thread(target=self._renew_all, name=f"lease-{'-'.join(map(str, self._held))}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def lost(self, job: ClaimedJob) -> bool:
        """Return whether the lease of ``job`` was lost."""
        return job.id in self._lost

    def held(self) -> tuple[ClaimedJob, ...]:
        """Return the jobs whose attempts have not ended."""
        return tuple(self._held.values())

    def check(self, job: ClaimedJob) -> None:
        """Raise LeaseLost if the lease of ``job`` is lost: nothing may be written for it any more.

        Raises
        ------
        LeaseLost
            The lease is lost; the message has the reason.
        """
        if job.id in self._lost:
            raise LeaseLost(f"job {job.id}: {self._lost[job.id]}", hint="nothing was written")

    def done(self, job: ClaimedJob) -> None:
        """Stop renewing the lease of ``job``, whose attempt has ended; it is not given back."""
        self._held.pop(job.id, None)

    def _lose(self, job: ClaimedJob, reason: str) -> None:
        self._lost[job.id] = reason
        self.done(job)

    def _renew_all(self) -> None:
        interval_s = self._lease_s / RENEWALS_PER_LEASE
        renew_at = time.monotonic() + interval_s
        draining_since: float | None = None
        while not self._stop.wait(min(interval_s, 0.5)):
            now = time.monotonic()
            if self._draining.is_set():
                draining_since = now if draining_since is None else draining_since
                if now - draining_since >= self._grace_s:
                    self._give_back()
                    return
            if now >= renew_at:
                renewed = [self._renew(job, now) for job in self.held()]
                renew_at = now + interval_s if all(renewed) else renew_at

    def _renew(self, job: ClaimedJob, now: float) -> bool:
        """Renew one lease; return False where the database did not respond."""
        try:
            if not job_leases.renew_job(self._database, job, self._lease_s):
                self._lose(job, "the lease is another's, or the unit has moved on")
            self._expires[job.id] = now + self._lease_s
            return True
        except StorageError as error:
            log.warning("lease_not_renewed", job=job.id, error=str(error))
            if time.monotonic() >= self._expires[job.id]:
                self._lose(job, "the database was out of reach until the lease ran out")
            return False

    def _give_back(self) -> None:
        for job in self.held():
            self._lose(job, "the worker stops, and the job was given back")
            try:
                job_leases.release_job(self._database, job)
                log.info("job_given_back", job=job.id, reason="the worker stops")
            except (LeaseLost, StorageError) as error:
                log.warning("job_not_given_back", job=job.id, error=str(error), hint="its lease expires by itself")
        if self._given_back is not None:
            self._given_back()
