"""A wake-up: jobs are claimed in their order and worked off, everything that is decided in PostgreSQL.

::

    wake-up -> claim (attempt committed) -> workers.attempt.predict -> finish: one short transaction behind the fence

No transaction spans the work. Whatever happens, a job ends in one of: reported, failed (with the reason), queued again.
Of a photograph that has others of its kind behind it the next few are claimed with it, and share its pass through the network.
"""

from time import monotonic, sleep

import structlog

from core.errors import StorageError
from core.failpoints import failpoint
from core.states import Priority, UnitKind
from db.jobs import job_leases
from db.records import ClaimedJob
from workers.attempt import device
from workers.attempt.child_runtime import Runtime
from workers.attempt.finish import ending, too_much
from workers.attempt.lease import Lease
from workers.attempt.limits import MemoryWatch
from workers.attempt.not_analysed import explain
from workers.attempt.predict import work
from workers.attempt.prefetch import Ahead

MAX_JOBS_PER_WAKE_UP = 32
BATCH_WAIT_S = 0.02  # for further photographs, where some wait already: short beside a pass of the network
SHARE_OF_TIME_LIMIT = 0.1  # a wake-up starts no further job after this share: the limit is the task's, not the job's
EXPLAINING_MIB = 256  # a report without pixels
SHARE_FOR_READ = 0.5  # unless one was read ahead: until here

log = structlog.get_logger()


def wake(runtime: Runtime) -> int:
    """Work off what is due, the most urgent first, until nothing is left or the wake-up's share of time is used. How many."""
    failpoint("worker.woken")
    began, done, limit_s = monotonic(), 0, runtime.settings.worker.soft_time_limit_s
    ahead = Ahead(runtime)
    try:
        while not runtime.draining.is_set():
            share = (monotonic() - began) / limit_s
            ahead.further = not done or (done < MAX_JOBS_PER_WAKE_UP and share <= SHARE_OF_TIME_LIMIT)
            if not ahead.further and (ahead.priority is None or share > SHARE_FOR_READ):
                break
            claimed = _claimed(runtime, ahead)
            if not claimed:
                break
            run(runtime, *claimed, ahead=ahead)
            done += len(claimed)
    except StorageError as error:
        log.warning("no claim: the database is out of reach; the wake-up comes again", error=str(error))
    finally:
        ahead.give_back()
    return done


def _claimed(runtime: Runtime, ahead: Ahead) -> list[ClaimedJob]:
    """The next job, and who keeps it company. What was given up comes first: it takes no time, and somebody waits for an answer that
    will not come; then what was read ahead, but never before an urgent one."""
    database, name, lease_s, priorities = runtime.database, runtime.name, runtime.settings.worker.lease_s, runtime.priorities
    if given_up := job_leases.claim_unexplained(database, worker=name, priorities=priorities, lease_s=lease_s):
        return given_up
    if ahead.priority is not None:
        priorities = () if ahead.priority is Priority.URGENT else tuple(one for one in priorities if one is Priority.URGENT)
    claimed = job_leases.claim(database, worker=name, priorities=priorities, models=None, lease_s=lease_s) if priorities else []
    if not claimed and ahead.priority is not None:
        read = ahead.take()
        return _claimed(runtime, ahead) if read is None else [read]
    return claimed and [*claimed, *_company(runtime, claimed[0])]


def _company(runtime: Runtime, first: ClaimedJob) -> list[ClaimedJob]:
    """Further photographs for the pass of ``first``, up to what its model takes at once; none where one of them could harm another.

    Where some wait already, and the pass is not full, others are waited for, ``BATCH_WAIT_S`` at most. Nobody waits alone.
    """
    worker, model = runtime.settings.worker, runtime.models.get(first.pipeline_digest)
    most = 0 if model is None else model.batch - 1
    if first.unit_kind is not UnitKind.IMAGE or first.attempt > 1 or worker.max_attempts < 2 or most < 1:
        return []
    found: list[ClaimedJob] = []
    try:
        found += _alike(runtime, first, most)
        if found and len(found) < most:
            sleep(BATCH_WAIT_S)
            found += _alike(runtime, first, most - len(found))
    except StorageError as error:
        log.warning("no company for a job: the database is out of reach", job=first.id, error=str(error))
    return found


def _alike(runtime: Runtime, first: ClaimedJob, most: int) -> list[ClaimedJob]:
    """Of the next ``most`` jobs those that may share a pass with ``first``."""
    return job_leases.claim_company(
        runtime.database,
        worker=runtime.name,
        priorities=(first.priority,),
        kind=first.unit_kind,
        digests=(first.pipeline_digest,),
        lease_s=runtime.settings.worker.lease_s,
        limit=most,
    )


def run(runtime: Runtime, *claimed: ClaimedJob, ahead: Ahead) -> None:
    """One attempt of each, ended in order whatever happens. Where the process holds too much already, they end before the work begins."""
    runtime.busy = ",".join(str(job.id) for job in claimed)
    lease_s = runtime.settings.worker.lease_s
    try:
        with (
            Lease(runtime.database, claimed, lease_s, runtime.draining, given_back=runtime.leave) as lease,
            MemoryWatch(_allowed_mib(runtime, claimed[0]), lambda held_mib: too_much(runtime, lease, held_mib)) as watch,
        ):
            runtime.most_mib = max(runtime.most_mib, watch.before_mib)
            begun = []
            for job in lease.held():
                with ending(runtime, lease, job):
                    failpoint("worker.claimed", job.study_instance_uid)
                    begun.append(job)
            if claimed[0].failure_state is None:
                work(runtime, begun, lease, ahead, watch)
            for job in begun if claimed[0].failure_state else ():
                with ending(runtime, lease, job):
                    explain(runtime, job, lease, watch)
    finally:
        runtime.busy = ""


def _allowed_mib(runtime: Runtime, job: ClaimedJob) -> int:
    """What the process may hold. Who says that there is no answer is heard also where the models alone hold too much: they are none of its
    doing, and without its report silence would read as a negative."""
    return runtime.memory_mib if job.failure_state is None else max(runtime.memory_mib, device.resident_mib() + EXPLAINING_MIB)
