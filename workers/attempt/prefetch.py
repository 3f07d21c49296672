"""Leases and decodes the next series while the current one is computed, so that the model does not wait for it.

At most one series, and only if there is memory for both. It is the next job in the queue that may begin, so no job is overtaken; an
urgent job is still computed before it. Its lease is renewed meanwhile, and a job that was not begun is given back without counting an
attempt. If the process is killed, the attempt counts, and the job is not prefetched again.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import structlog

from core.errors import LeaseLost, StorageError
from core.states import Priority, UnitKind
from db.jobs import job_leases, not_analysed
from db.jobs.claim import claim_pipeline_batch
from db.jobs.job_records import ClaimedJob
from models.card import ModelCard
from workers.attempt import prepare
from workers.attempt.lease import Lease
from workers.attempt.prepare import PreparedUnit
from workers.child.memory_limit import peak_mib
from workers.child.runtime import ChildRuntime

VOLUMES_WHILE_DECODING = 2  # memory of a series while it is decoded: its volume, and as much again for the files

log = structlog.get_logger()


class Prefetch:
    """Holds the prefetched job of one wake-up.

    `start` leases and decodes the next job while another is computed; `take` returns it when it is to be carried out; `prepared` then
    returns its volume. `give_back` releases a job that was not taken.

    Attributes
    ----------
    enabled
        False while the wake-up may start no further job after the current one.
    """

    def __init__(self, runtime: ChildRuntime) -> None:
        self._runtime = runtime
        self._job: ClaimedJob | None = None
        self._lease: Lease | None = None
        self._future: Future[PreparedUnit] | None = None
        self._decoded_job: ClaimedJob | None = None  # the job of ``_future``
        self.enabled = True

    def start(self, current: ClaimedJob) -> None:
        """Lease the next job if it is a series for a loaded model, and decode it beside ``current``.

        An unreachable database is logged only: without prefetching the job is claimed later.
        """
        runtime, worker = self._runtime, self._runtime.settings.worker
        tried_alone = current.unit_kind is not UnitKind.SERIES or current.attempt > 1 or worker.max_attempts < 2
        if tried_alone or not self.enabled or self.decoding or self._job is not None or runtime.draining.is_set():
            return
        try:
            found = claim_pipeline_batch(
                runtime.database,
                worker=runtime.name,
                priorities=runtime.priorities,
                kind=UnitKind.SERIES,
                digests=list(runtime.models.by_digest),
                lease_s=worker.lease_s,
                limit=1,
            )
        except StorageError as error:
            log.warning("prefetch_failed", error=str(error))
            return
        for job in found:
            fits = self._fits_into_memory(job)
            self._job, self._future, self._decoded_job = job, None, job
            self._lease = Lease(runtime.database, [job], worker.lease_s, runtime.draining, grace_s=0.0)
            self._lease.__enter__()
            if fits:
                self._future = _decode_in_thread(runtime, job, runtime.models.by_digest[job.pipeline_digest].card)

    def _fits_into_memory(self, job: ClaimedJob) -> bool:
        """Return whether the volume fits beside the most memory that this process has held so far; False where its size is not known."""
        try:
            header = not_analysed.first_input_header(self._runtime.database, job.id)
        except StorageError as error:  # the job is leased already: it is held, and decoded when it is carried out
            log.warning("prefetch_failed", job=job.id, error=str(error))
            return False
        if header is None or not header.rows or not header.columns:
            return False
        volume_mib = len(job.inputs) * header.number_of_frames * header.rows * header.columns * 2 >> 20
        held_mib = max(self._runtime.peak_mib, peak_mib())
        return held_mib + VOLUMES_WHILE_DECODING * volume_mib < self._runtime.memory_limit_mib

    @property
    def decoding(self) -> bool:
        """Return whether a thread is decoding."""
        return self._future is not None and not self._future.done()

    @property
    def priority(self) -> Priority | None:
        """Return the priority of the job that is held; None where there is none."""
        return None if self._job is None else self._job.priority

    def take(self) -> ClaimedJob | None:
        """Return the job that is held; the caller renews its lease from now on. None where the lease was lost."""
        job, lease = self._release()
        return None if job is None or lease is None or lease.lost(job) else job

    def prepared(self, job: ClaimedJob) -> PreparedUnit | None:
        """Return the volume of ``job``, with the time that was waited for it here; None where it was not decoded in advance."""
        if self._future is None or self._decoded_job is not job:
            return None
        began = time.monotonic()
        unit = self._future.result()
        self._future = self._decoded_job = None
        return replace(unit, seconds=time.monotonic() - began)

    def give_back(self) -> None:
        """Release the job that is held and was not begun: the attempt does not count."""
        job, lease = self._release()
        if job is None or lease is None or lease.lost(job):
            return
        try:
            job_leases.release_job(self._runtime.database, job)
        except (LeaseLost, StorageError) as error:
            log.warning("job_not_given_back", job=job.id, error=str(error), hint="its lease expires by itself")

    def _release(self) -> tuple[ClaimedJob | None, Lease | None]:
        """Stop renewing the lease, and forget the job."""
        job, lease, self._job, self._lease = self._job, self._lease, None, None
        if lease is not None:
            lease.__exit__(None, None, None)
        return job, lease


def _decode_in_thread(runtime: ChildRuntime, job: ClaimedJob, card: ModelCard) -> "Future[PreparedUnit]":
    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        return pool.submit(prepare.prepare_unit, runtime, job, card)
    finally:
        pool.shutdown(wait=False)
