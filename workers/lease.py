"""A job's lease, renewed while the work goes on; lost for good once it is lost."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from core.errors import LeaseLost, StorageError
from db import jobs
from db.base import Database
from db.records import ClaimedJob
from workers.drain import DrainFlag

RENEWALS_PER_LEASE = 4
DRAIN_GRACE_S = 15.0  # what a running job gets to finish when the worker stops; then it is given back

log = structlog.get_logger()


class Lease:
    """``with Lease(...) as lease: ... lease.check()``: the thread beside the work.

    The lease is lost when the database says so, when it could not be renewed until it ran out, or when the worker
    drains and the work takes longer than ``grace_s``: then the job is released, the attempt does not count, and
    ``given_back`` is called (a child ends there: what it computes is of no use any more).
    """

    def __init__(
        self, database: Database, job: ClaimedJob, lease_s: float, draining: DrainFlag, *,
        grace_s: float = DRAIN_GRACE_S, given_back: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._job = job
        self._lease_s = lease_s
        self._draining = draining
        self._grace_s = grace_s
        self._given_back = given_back
        self._stop = threading.Event()
        self._lost = ""
        self._thread = threading.Thread(target=self._renew, name=f"lease-{job.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def lost(self) -> bool:
        return bool(self._lost)

    def check(self) -> None:
        """Go on only with the lease.

        Raises
        ------
        LeaseLost
            It is lost; nothing may be written.
        """
        if self._lost:
            raise LeaseLost(f"job {self._job.id}: {self._lost}", hint="nothing was written")

    def _renew(self) -> None:
        pause = self._lease_s / RENEWALS_PER_LEASE
        until = time.monotonic() + self._lease_s
        renew_at = time.monotonic() + pause
        drains_since: float | None = None
        while not self._stop.wait(min(pause, 0.5)):
            now = time.monotonic()
            if self._draining.is_set():
                drains_since = now if drains_since is None else drains_since
                if now - drains_since >= self._grace_s:
                    self._give_back()
                    return
            if now < renew_at:
                continue
            try:
                if not jobs.renew(self._database, self._job, self._lease_s):
                    self._lost = "the lease is another's, or the unit has moved on"
                    return
                until, renew_at = now + self._lease_s, now + pause
            except StorageError as error:
                log.warning("a lease could not be renewed", job=self._job.id, error=str(error))
                if time.monotonic() >= until:
                    self._lost = "the database was out of reach until the lease ran out"
                    return

    def _give_back(self) -> None:
        self._lost = "the worker stops, and the job was given back"
        try:
            jobs.release(self._database, self._job)
            log.info("job given back", job=self._job.id, reason="the worker stops")
        except (LeaseLost, StorageError) as error:
            log.warning("a job could not be given back; its lease runs out", job=self._job.id, error=str(error))
        if self._given_back is not None:
            self._given_back()
