"""Renewal and loss of the leases of an attempt."""

import time
from collections.abc import Callable

import pytest

from core.errors import LeaseLost
from core.states import UnitKind
from db.jobs import job_leases
from db.jobs.claim import claim_jobs
from deploy.demo.synthetic.lesion import lesion_dataset
from tests.support.queued_jobs import JobFactory
from tests.support.records import run as execute
from tests.support.records import scalar
from workers.attempt import lease as lease_module
from workers.attempt import wake_up
from workers.attempt.lease import Lease
from workers.child.runtime import ChildRuntime

TIMEOUT_S = 200.0  # only ends a test that hangs


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def test_lease_is_lost_when_the_unit_gets_a_new_revision(runtime: ChildRuntime, factory: JobFactory) -> None:
    factory.queue([lesion_dataset(1, size=(150, 200))], UnitKind.SERIES)
    (job,) = claim_jobs(runtime.database, worker="test:1", priorities=None, models=None, lease_s=600.0)
    with Lease(runtime.database, [job], 1.0, runtime.draining) as lease:
        lease.check(job)
        execute(runtime.database, "UPDATE units SET revision = revision + 1")
        _until(lambda: lease.lost(job))
        with pytest.raises(LeaseLost):
            lease.check(job)


def test_lease_is_renewed_while_the_work_goes_on(runtime: ChildRuntime, factory: JobFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEWALS_PER_LEASE", 6000)  # every 0.1 s
    factory.photograph(1)
    (job,) = claim_jobs(runtime.database, worker="test:1", priorities=None, models=None, lease_s=60.0)

    def expires() -> float:
        return float(str(scalar(runtime.database, "SELECT extract(epoch FROM lease_until) FROM jobs")))

    first = expires()
    with Lease(runtime.database, [job], 600.0, runtime.draining) as lease:
        _until(lambda: expires() > first + 500)
        second = expires()
        _until(lambda: expires() > second)
        assert job_leases.reap_jobs(runtime.database, max_attempts=3) == 0
        lease.check(job)


def test_draining_worker_gives_a_long_job_back_and_the_attempt_does_not_count(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    (job,) = claim_jobs(runtime.database, worker="test:1", priorities=None, models=None, lease_s=600.0)
    with Lease(runtime.database, [job], 600.0, runtime.draining, grace_s=0.2) as lease:
        runtime.draining.set()
        _until(lambda: lease.lost(job))
    (again,) = claim_jobs(runtime.database, worker="test:1", priorities=None, models=None, lease_s=600.0)
    assert (again.id, again.attempt) == (job_id, 1)
    assert wake_up.handle_wake_up(runtime) == 0  # no further job is claimed
