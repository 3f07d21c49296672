"""The series behind the one in the network: claimed and decoded while that one is computed, so that the model does not wait for it.

One at most, and only where there is memory for both. It is the next in the queue or none: nobody is overtaken, an urgent job still comes
before it, and it is given back untouched where it is not begun. Its lease is kept all the while; a killed process costs it one attempt,
after which it is never decoded ahead again.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import structlog

from core.errors import LeaseLost, StorageError
from core.states import Priority, UnitKind
from db.jobs import job_leases, not_analysed
from db.records import ClaimedJob
from models.card import ModelCard
from workers.attempt import prepare
from workers.attempt.child_runtime import Runtime
from workers.attempt.lease import Lease
from workers.attempt.limits import peak_mib
from workers.attempt.prepare import Prepared

VOLUMES = 2  # a series while it is decoded: its volume, and as much again for the files

log = structlog.get_logger()


class Ahead:
    """``begin`` while a series is computed; ``take`` the job when its turn has come; ``prepared`` is then its volume."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._job: ClaimedJob | None = None
        self._lease: Lease | None = None
        self._work: Future[Prepared] | None = None
        self._read: ClaimedJob | None = None  # whose volume ``_work`` is
        self.further = True  # False: what is in the network is the last of its wake-up

    def begin(self, now: ClaimedJob) -> None:
        """Claim the next job, where it is a series for a model that is warm, and decode it beside ``now``. Fails silently: it is a help."""
        runtime, worker = self._runtime, self._runtime.settings.worker
        alone = now.unit_kind is not UnitKind.SERIES or now.attempt > 1 or worker.max_attempts < 2
        if alone or not self.further or self.reading or self._job is not None or runtime.draining.is_set():
            return
        try:
            found = job_leases.claim_company(
                runtime.database,
                worker=runtime.name,
                priorities=runtime.priorities,
                kind=UnitKind.SERIES,
                digests=list(runtime.models),
                lease_s=worker.lease_s,
                limit=1,
            )
            room = bool(found) and self._room(found[0])
        except StorageError as error:
            log.warning("nothing is read ahead: the database is out of reach", error=str(error))
            return
        for job in found:
            self._job, self._work, self._read = job, None, job
            self._lease = Lease(runtime.database, [job], worker.lease_s, runtime.draining, grace_s=0.0)
            self._lease.__enter__()
            if room:
                self._work = _beside(runtime, job, runtime.models[job.pipeline_digest].card)

    def _room(self, job: ClaimedJob) -> bool:
        """Whether its volume fits beside what this process held at most until now, and holds."""
        header = not_analysed.kept_header(self._runtime.database, job.id)
        if header is None or not header.rows or not header.columns:
            return False
        volume_mib = len(job.inputs) * header.number_of_frames * header.rows * header.columns * 2 >> 20
        return max(self._runtime.most_mib, peak_mib()) + VOLUMES * volume_mib < self._runtime.memory_mib

    @property
    def reading(self) -> bool:
        """A thread is at it."""
        return self._work is not None and not self._work.done()

    @property
    def priority(self) -> Priority | None:
        """Of what is held; None: nothing is."""
        return None if self._job is None else self._job.priority

    def take(self) -> ClaimedJob | None:
        """Its turn has come: whoever takes it keeps its lease from now on. None where it was lost meanwhile."""
        job, lease = self._let_go()
        return None if job is None or lease is None or lease.lost(job) else job

    def prepared(self, job: ClaimedJob) -> Prepared | None:
        """The volume of ``job``, with how long it was waited for here; None where it was not read ahead."""
        if self._work is None or self._read is not job:
            return None
        began = time.monotonic()
        found = self._work.result()
        self._work = self._read = None
        return replace(found, seconds=time.monotonic() - began)

    def give_back(self) -> None:
        """What is held and was not begun: the attempt does not count."""
        job, lease = self._let_go()
        if job is None or lease is None or lease.lost(job):
            return
        try:
            job_leases.release(self._runtime.database, job)
        except (LeaseLost, StorageError) as error:
            log.warning("a job could not be given back; its lease runs out", job=job.id, error=str(error))

    def _let_go(self) -> tuple[ClaimedJob | None, Lease | None]:
        job, lease, self._job, self._lease = self._job, self._lease, None, None
        if lease is not None:
            lease.__exit__(None, None, None)
        return job, lease


def _beside(runtime: Runtime, job: ClaimedJob, card: ModelCard) -> "Future[Prepared]":
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        return pool.submit(prepare.one, runtime, job, card)
    finally:
        pool.shutdown(wait=False)
