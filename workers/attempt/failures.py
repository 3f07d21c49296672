"""Ends attempts that raised an exception: the reason is recorded, and the job is queued again or fails permanently."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.errors import LeaseLost, NodeError, StorageError, StoreUnavailable
from core.logs import scrub
from db.jobs import job_leases
from db.jobs.job_records import ClaimedJob
from models.runtime import is_device_error, is_out_of_memory
from workers.attempt.lease import Lease
from workers.child.runtime import ChildRuntime

MAX_ERROR_LENGTH = 500

log = structlog.get_logger()


@contextmanager
def failures_recorded(runtime: ChildRuntime, lease: Lease, *jobs: ClaimedJob) -> Iterator[None]:
    """End the attempts of ``jobs`` with what the enclosed work raises. The exception is not passed on: other jobs go on."""
    try:
        yield
    except LeaseLost as error:
        for job in jobs:
            lease.done(job)
            log.warning("attempt_without_result", job=job.id, attempt=job.attempt, reason=str(error))
    except SoftTimeLimitExceeded:
        limit_s = runtime.settings.worker.soft_time_limit_s
        _record_failure(runtime, lease, jobs, f"took longer than worker.soft_time_limit_s ({limit_s:g} s)")
    except StoreUnavailable as error:
        _record_failure(runtime, lease, jobs, str(error), counted=False)
    except NodeError as error:
        _record_failure(runtime, lease, jobs, str(error), permanent=error.permanent)
    except Exception as error:
        # A defect, or a lack of memory. It is tried again. The text may contain patient values, so it is scrubbed.
        words = f"{type(error).__name__}: {scrub(str(error))}"
        _record_failure(runtime, lease, jobs, words)
        if is_device_error(error) and not is_out_of_memory(error):
            _end_with_device(runtime, lease, words)


def end_over_memory_limit(runtime: ChildRuntime, lease: Lease, held_mib: int) -> None:
    """End the attempts that hold a lease, and the process: its memory would not be returned, and the next job needs its own."""
    words = f"needed {held_mib} MiB of memory, and worker.memory_limit_mib allows {runtime.memory_limit_mib} MiB"
    if not lease.held():
        log.warning("memory_limit_exceeded_after_work", held=held_mib, limit=runtime.memory_limit_mib, hint="the process ends")
    _record_failure(runtime, lease, lease.held(), words)
    if runtime.end_process is not None:
        runtime.end_process()


def _end_with_device(runtime: ChildRuntime, lease: Lease, words: str) -> None:
    """End the other attempts that hold a lease, and the process: after most errors of CUDA, each further call of the process fails too."""
    log.error("device_failed", error=words[:MAX_ERROR_LENGTH], hint="the process ends, and another one starts with the device anew")
    _record_failure(runtime, lease, lease.held(), words)
    if runtime.end_process is not None:
        runtime.end_process()


def _record_failure(
    runtime: ChildRuntime, lease: Lease, jobs: tuple[ClaimedJob, ...], error: str, *, permanent: bool = False, counted: bool = True
) -> None:
    """Queue each job again, or let it fail permanently. Its lease is not renewed any more, whether that could be written or not.

    ``counted``: whether the attempt counts towards ``worker.max_attempts``.
    """
    worker, error = runtime.settings.worker, error[:MAX_ERROR_LENGTH]
    for job in jobs:
        lease.done(job)
        retry_in_s = worker.retry_base_s * 2 ** ((job.not_analysed_attempts or job.attempt) - 1)
        try:
            if not counted and job.failure_state is None:
                job_leases.postpone_job(runtime.database, job, error=error, retry_in_s=retry_in_s)
                log.error("attempt_postponed", job=job.id, model=job.model, error=error)
                continue
            state = job_leases.fail_job(
                runtime.database, job, error=error, permanent=permanent, retry_in_s=retry_in_s, max_attempts=worker.max_attempts
            )
            log.error("attempt_failed", job=job.id, attempt=job.attempt, model=job.model, state=state.value, error=error)
        except (LeaseLost, StorageError) as failure:  # the reaper ends the attempt when its lease has expired
            log.error("attempt_failure_not_recorded", job=job.id, error=error, reason=str(failure))
