"""Expired leases and lost wake-ups."""

import pytest

from core.errors import LeaseLost
from core.states import Priority
from db.jobs import job_leases, outbox
from db.jobs.claim import claim_jobs
from tests.support.queued_jobs import JobFactory
from tests.support.records import run as execute
from workers.child.runtime import ChildRuntime
from workers.queue import reaper


def test_abandoned_job_is_queued_again_with_a_wake_up(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    rows = outbox.pending_wake_ups(runtime.database, 10)
    outbox.mark_published(runtime.database, [row.id for row in rows])
    (job,) = claim_jobs(runtime.database, worker="gone:1", priorities=None, models=None, lease_s=-1.0)
    assert reaper.reap(runtime.settings, runtime.database, lambda _: 0) == 1
    assert [(row.job_id, row.queue) for row in outbox.pending_wake_ups(runtime.database, 10)] == [(job_id, "infer.routine")]
    with pytest.raises(LeaseLost):
        job_leases.release_job(runtime.database, job)


def test_a_full_queue_gets_no_further_wake_ups(runtime: ChildRuntime, factory: JobFactory) -> None:
    factory.photograph(1)
    factory.photograph(2, priority=Priority.URGENT)
    outbox.mark_published(runtime.database, [row.id for row in outbox.pending_wake_ups(runtime.database, 10)])
    execute(runtime.database, "UPDATE outbox SET published_at = node_now() - interval '1 hour'")
    full = {"infer.routine": reaper.REPUBLISH_CAP, "infer.urgent": 0}
    assert reaper.reap(runtime.settings, runtime.database, full.__getitem__) == 1
    assert [row.queue for row in outbox.pending_wake_ups(runtime.database, 10)] == ["infer.urgent"]
