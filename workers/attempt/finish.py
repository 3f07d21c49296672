"""However an attempt ends, it ends in the database: failed with the reason, or left to whoever has the lease now."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.errors import LeaseLost, NodeError, StorageError
from core.logs import scrub
from db.jobs import job_leases
from db.records import ClaimedJob
from workers.attempt.child_runtime import Runtime
from workers.attempt.lease import Lease

MAX_ERROR = 500

log = structlog.get_logger()


@contextmanager
def ending(runtime: Runtime, lease: Lease, *those: ClaimedJob) -> Iterator[None]:
    """What is raised within ends the attempts of ``those`` jobs, and goes no further: their neighbours go on."""
    try:
        yield
    except LeaseLost as error:
        for job in those:
            lease.done(job)
            log.warning("an attempt ended without result", job=job.id, attempt=job.attempt, reason=str(error))
    except SoftTimeLimitExceeded:
        limit_s = runtime.settings.worker.soft_time_limit_s
        failed(runtime, lease, those, f"took longer than worker.soft_time_limit_s ({limit_s:g} s)")
    except NodeError as error:
        failed(runtime, lease, those, str(error), permanent=error.permanent)
    except Exception as error:
        # A defect, or a machine out of memory: said, counted, tried again; its text may hold values, so it is scrubbed.
        failed(runtime, lease, those, f"{type(error).__name__}: {scrub(str(error))}")


def too_much(runtime: Runtime, lease: Lease, held_mib: int) -> None:
    """The attempts end with the reason, and this process with them: its memory would not come back, and the next are to have their own."""
    words = f"needed {held_mib} MiB of memory, and worker.memory_limit_mib allows {runtime.memory_mib} MiB"
    if not lease.held():
        log.warning("what the work left behind is too much: the process ends", held=held_mib, limit=runtime.memory_mib)
    failed(runtime, lease, lease.held(), words)
    if runtime.leave is not None:
        runtime.leave()


def failed(runtime: Runtime, lease: Lease, those: tuple[ClaimedJob, ...], error: str, *, permanent: bool = False) -> None:
    """Each is queued again, or given up; it is not renewed any more, whether that could be written or not."""
    worker = runtime.settings.worker
    for job in those:
        lease.done(job)
        retry_in_s = worker.retry_base_s * 2 ** ((job.not_analysed_attempts or job.attempt) - 1)
        try:
            state = job_leases.fail(
                runtime.database, job, error=error[:MAX_ERROR], permanent=permanent, retry_in_s=retry_in_s, max_attempts=worker.max_attempts
            )
            log.error("an attempt failed", job=job.id, attempt=job.attempt, model=job.model, state=state.value, error=error[:MAX_ERROR])
        except (LeaseLost, StorageError) as failure:  # the reaper ends the attempt when its lease has run out
            log.error("a failed attempt could not be recorded", job=job.id, error=error[:MAX_ERROR], reason=str(failure))
