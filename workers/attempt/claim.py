"""Claims the next job of a child: leases it, with further photographs that can share its pass through the model."""

from time import sleep

import structlog

from core.errors import StorageError
from core.states import Priority, UnitKind
from db.jobs.claim import claim_jobs, claim_not_analysed, claim_pipeline_batch
from db.jobs.job_records import ClaimedJob
from workers.attempt.prefetch import Prefetch
from workers.child.runtime import ChildRuntime

BATCH_WAIT_S = 0.02  # for further photographs: short beside a pass through the model

log = structlog.get_logger()


def claim_next(runtime: ChildRuntime, prefetch: Prefetch) -> list[ClaimedJob]:
    """Lease the next job, or a batch of photographs; empty where no job is due.

    The order: a job that owes a report of why it was not analysed (it takes no time); an urgent job; the prefetched job; a routine job.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    database, name, lease_s, priorities = runtime.database, runtime.name, runtime.settings.worker.lease_s, runtime.priorities
    if owing_report := claim_not_analysed(database, worker=name, priorities=priorities, lease_s=lease_s):
        return owing_report
    if prefetch.priority is not None:
        more_urgent = prefetch.priority is Priority.ROUTINE and Priority.URGENT in priorities
        priorities = (Priority.URGENT,) if more_urgent else ()
    claimed = claim_jobs(database, worker=name, priorities=priorities, models=None, lease_s=lease_s) if priorities else []
    if not claimed and prefetch.priority is not None:
        prefetched = prefetch.take()
        return claim_next(runtime, prefetch) if prefetched is None else [prefetched]
    return claimed and [*claimed, *_claim_batch(runtime, claimed[0])]


def _claim_batch(runtime: ChildRuntime, first: ClaimedJob) -> list[ClaimedJob]:
    """Lease further photographs for the pass of ``first``, up to the batch size of its model.

    A job that was tried before is not batched: its input may have ended that attempt, and would end those of the others. If some are found
    and the batch is not full, waits `BATCH_WAIT_S` once for more; a single photograph does not wait.
    """
    worker, model = runtime.settings.worker, runtime.models.by_digest.get(first.pipeline_digest)
    free = 0 if model is None else model.batch - 1
    if first.unit_kind is not UnitKind.IMAGE or first.attempt > 1 or worker.max_attempts < 2 or free < 1:
        return []
    found: list[ClaimedJob] = []
    try:
        found += _claim_alike(runtime, first, free)
        if found and len(found) < free:
            sleep(BATCH_WAIT_S)
            found += _claim_alike(runtime, first, free - len(found))
    except StorageError as error:
        log.warning("batch_not_claimed", job=first.id, error=str(error))
    return found


def _claim_alike(runtime: ChildRuntime, first: ClaimedJob, limit: int) -> list[ClaimedJob]:
    """Lease those of the next ``limit`` jobs that may share a pass with ``first``."""
    return claim_pipeline_batch(
        runtime.database,
        worker=runtime.name,
        priorities=(first.priority,),
        kind=first.unit_kind,
        digests=(first.pipeline_digest,),
        lease_s=runtime.settings.worker.lease_s,
        limit=limit,
    )
