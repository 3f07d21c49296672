"""Handles a wake-up: claims due jobs in their order and runs one attempt of each.

::

    wake-up -> claim (attempt committed) -> analyse: prepare, predict, finish (one short transaction, fenced by the lease's token)

Everything is decided in PostgreSQL, and no transaction spans the work. A job whose attempt has ended is reported, has failed with the
reason, or is queued again.
"""

from time import monotonic

import structlog

from core.errors import StorageError
from core.failpoints import failpoint
from db.jobs.job_records import ClaimedJob
from workers.attempt.analyse import analyse_jobs
from workers.attempt.claim import claim_next
from workers.attempt.failures import end_over_memory_limit, failures_recorded
from workers.attempt.lease import Lease
from workers.attempt.not_analysed import report_not_analysed
from workers.attempt.prefetch import Prefetch
from workers.child import device
from workers.child.memory_limit import MemoryWatch
from workers.child.runtime import ChildRuntime

MAX_JOBS = 32  # in one wake-up
MAX_TIME_SHARE = 0.1  # of the soft time limit: later a wake-up starts no further job, because the limit is the task's, not the job's
MAX_TIME_SHARE_PREFETCHED = 0.5  # the same for a job that is decoded already
NOT_ANALYSED_MIB = 256  # memory for a report without pixels

log = structlog.get_logger()


def handle_wake_up(runtime: ChildRuntime) -> int:
    """Run attempts until no job is due or the wake-up's share of time is used, and return how many."""
    failpoint("worker.woken")
    began, done, limit_s = monotonic(), 0, runtime.settings.worker.soft_time_limit_s
    prefetch = Prefetch(runtime)
    try:
        while not runtime.draining.is_set():
            share = (monotonic() - began) / limit_s
            prefetch.enabled = not done or (done < MAX_JOBS and share <= MAX_TIME_SHARE)
            if not prefetch.enabled and (prefetch.priority is None or share > MAX_TIME_SHARE_PREFETCHED):
                break
            jobs = claim_next(runtime, prefetch)
            if not jobs:
                break
            run_attempts(runtime, *jobs, prefetch=prefetch)
            done += len(jobs)
    except StorageError as error:
        log.warning("claim_failed", error=str(error), hint="the wake-up is published again")
    finally:
        prefetch.give_back()
    log.debug("wake_up_handled", count=done, seconds=round(monotonic() - began, 3))
    return done


def run_attempts(runtime: ChildRuntime, *jobs: ClaimedJob, prefetch: Prefetch) -> None:
    """Run one attempt of each job. Where the process holds too much memory already, the attempts end before the work begins."""
    runtime.current_jobs = ",".join(str(job.id) for job in jobs)
    lease_s, owes_report = runtime.settings.worker.lease_s, jobs[0].failure_state is not None
    try:
        with (
            Lease(runtime.database, jobs, lease_s, runtime.draining, given_back=runtime.end_process) as lease,
            MemoryWatch(_memory_limit_mib(runtime, jobs[0]), lambda held_mib: end_over_memory_limit(runtime, lease, held_mib)) as watch,
        ):
            runtime.peak_mib = max(runtime.peak_mib, watch.peak_before_mib)
            begun = []
            for job in lease.held():
                with failures_recorded(runtime, lease, job):
                    failpoint("worker.claimed", job.study_instance_uid)
                    begun.append(job)
                    _log_attempt(job)
            if not owes_report:
                analyse_jobs(runtime, begun, lease, prefetch, watch)
            for job in begun if owes_report else ():
                with failures_recorded(runtime, lease, job):
                    report_not_analysed(runtime, job, lease, watch)
    finally:
        runtime.current_jobs = ""


def _log_attempt(job: ClaimedJob) -> None:
    log.debug(
        "attempt_began",
        job=job.id,
        unit=job.unit_id,
        revision=job.revision,
        attempt=job.attempt,
        model=job.model,
        version=job.model_version,
        digest=job.pipeline_digest[:12],
        priority=job.priority.value,
        kind="report that nothing was analysed" if job.failure_state is not None else "shadow" if job.shadow else "analysis",
        count=len(job.inputs),
    )


def _memory_limit_mib(runtime: ChildRuntime, job: ClaimedJob) -> int:
    """Return the memory limit of an attempt.

    The report that a job was not analysed is made also where the loaded models alone exceed the limit: it does not use them, and without
    the report the study would look as if nothing had been found.
    """
    if job.failure_state is None:
        return runtime.memory_limit_mib
    return max(runtime.memory_limit_mib, device.resident_mib() + NOT_ANALYSED_MIB)
