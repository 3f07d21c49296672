"""Jobs: claimed once, finished or failed under a valid token, reaped, released, cancelled and queued again."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from core.errors import ConfigurationError, LeaseLost, ModelError
from core.states import JobState, ModelOrigin, ModelState, Priority
from db.deliveries import delivery_leases
from db.engine import Database
from db.jobs import job_leases, outbox
from db.jobs.claim import claim_jobs
from db.jobs.finish import commit_result
from db.jobs.job_admin import cancel_job, requeue_jobs, show_job
from db.listings.deliveries import list_deliveries
from db.listings.jobs import list_jobs
from db.operations import model_registry
from tests.support.records import Sender, claim, complete, finish, identity, plan, prediction, report, run, scalar, timings, unit_of


@pytest.fixture
def queued(database: Database) -> int:
    """A database with one queued job; its id."""
    Sender(database).send(1)
    (job_id,) = complete(database, plan()) or []
    return job_id


def state(database: Database, job_id: int) -> str:
    return str(show_job(database, job_id)["job_state"])


def test_a_claim_has_everything_that_a_worker_needs(database: Database, queued: int) -> None:
    job = claim(database)
    assert (job.id, job.attempt, job.run, job.revision, job.destinations) == (queued, 1, 1, 1, ("pacs",))
    assert (job.study_instance_uid, job.series_instance_uid, job.sop_instance_uid) == ("1.2.3", "1.2.3.4", "")
    (item,) = job.inputs
    assert item.path.endswith(item.sha256)
    assert scalar(database, "SELECT result FROM attempts") == "running"


def test_concurrent_claims_get_a_job_once(database: Database, queued: int) -> None:
    barrier = Barrier(4)

    def compete(number: int) -> int:
        barrier.wait()
        return len(claim_jobs(database, worker=f"w{number}", priorities=None, models=None, lease_s=60))

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(compete, range(4))) == [0, 0, 0, 1]


def test_urgent_jobs_first_then_the_oldest(database: Database) -> None:
    sender = Sender(database)
    for number, priority in enumerate([Priority.ROUTINE, Priority.ROUTINE, Priority.URGENT]):
        sender.send(1, series=f"1.7.{number}", study=f"1.6.{number}")
        complete(database, plan(priority=priority), study=f"1.6.{number}")
    claimed = claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60, limit=5)
    assert [job.study_instance_uid for job in claimed] == ["1.6.2", "1.6.0", "1.6.1"]


def test_claims_by_priority_model_and_job(database: Database, queued: int) -> None:
    assert claim_jobs(database, worker="w", priorities=(Priority.URGENT,), models=None, lease_s=60) == []
    assert claim_jobs(database, worker="w", priorities=None, models=("other",), lease_s=60) == []
    assert claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60, job_id=queued + 1) == []
    assert len(claim_jobs(database, worker="w", priorities=(Priority.ROUTINE,), models=("lung_nodule_ct",), lease_s=60, job_id=queued)) == 1


def test_the_result_is_written_in_one_transaction(database: Database, queued: int) -> None:
    finish(database, claim(database), findings=2)
    shown = show_job(database, queued)
    assert (shown["job_state"], shown["outcome"]) == ("reported", "findings")
    assert [row["state"] for row in shown["deliveries"]] == ["pending"]
    assert len(shown["findings"]) == 2
    assert shown["findings"][0]["position_mm"] == [1.0, 2.0, 3.0]
    assert shown["model_identity"]["title"] == "Lung nodules"
    assert [row["result"] for row in shown["attempts_made"]] == ["reported"]
    assert (shown["prepare_s"], shown["infer_s"], shown["encode_s"]) == (0.1, 0.2, 0.3)
    assert scalar(database, "SELECT details->>'digest' FROM audit_events WHERE action = 'job.reported'") == identity().digest


def test_a_job_without_deliveries_is_delivered_immediately(database: Database, queued: int) -> None:
    job = claim(database)
    commit_result(database, job, prediction=prediction(0), identity=identity(), objects=(report(job, destinations=()),), timings=timings())
    assert state(database, queued) == JobState.DELIVERED


def test_an_object_that_fails_validation_is_held(database: Database, queued: int) -> None:
    finish(database, claim(database), problems=("no observer",))
    (row,) = list_deliveries(database)
    assert (row["state"], row["note"]) == ("held", "no observer")
    assert delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=5) == []


def written(database: Database) -> list[object]:
    """Number of findings, reports and deliveries."""
    return [scalar(database, f"SELECT count(*) FROM {table}") for table in ("findings", "reports", "deliveries")]


def test_an_old_token_writes_nothing(database: Database, queued: int) -> None:
    slow = claim(database, lease_s=-1.0, worker="slow")
    assert job_leases.reap_jobs(database, max_attempts=3) == 1
    fast = claim(database, worker="fast")
    assert (fast.id, fast.attempt) == (slow.id, 2)
    for end in (
        lambda: finish(database, slow),
        lambda: job_leases.fail_job(database, slow, error="x", permanent=True, retry_in_s=0, max_attempts=3),
        lambda: job_leases.release_job(database, slow),
    ):
        with pytest.raises(LeaseLost):
            end()
    assert not job_leases.renew_job(database, slow, 60)
    assert written(database) == [0, 0, 0]
    assert state(database, queued) == JobState.RUNNING
    assert job_leases.renew_job(database, fast, 60)
    finish(database, fast)
    assert written(database) == [1, 1, 1]
    with pytest.raises(LeaseLost):
        finish(database, fast)
    assert written(database) == [1, 1, 1]


def test_a_newer_revision_of_the_unit_refuses_the_result(database: Database, queued: int) -> None:
    job = claim(database)
    Sender(database).send(2)
    assert not job_leases.renew_job(database, job, 60)
    with pytest.raises(LeaseLost, match="revision"):
        finish(database, job)
    assert written(database) == [0, 0, 0]
    job_leases.release_job(database, job)
    assert claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60) == []
    complete(database, plan())
    assert claim(database).revision == 2


def test_the_result_of_a_retired_model_is_refused(database: Database, queued: int) -> None:
    model_registry.register_model(database, identity())
    job = claim(database)
    assert model_registry.shadow_or_retire(database, identity(), ModelState.RETIRED, origin=ModelOrigin.PACKAGE, actor="admin")
    model_registry.register_model(database, identity())  # a worker starts again: the model stays retired
    with pytest.raises(ModelError, match="retired"):
        finish(database, job)
    assert written(database) == [0, 0, 0]


def test_the_result_of_another_pipeline_is_refused(database: Database, queued: int) -> None:
    job = claim(database)
    with pytest.raises(ModelError, match="another pipeline"):
        commit_result(database, job, prediction=prediction(), identity=identity("e" * 64), objects=(), timings=timings())


def test_destinations_added_while_it_ran_get_the_result(database: Database, queued: int) -> None:
    job = claim(database)
    run(database, "UPDATE jobs SET destinations = '{pacs,research}'")
    finish(database, job)
    assert sorted(row["destination"] for row in list_deliveries(database)) == ["pacs", "research"]


def test_a_transient_error_waits_and_the_last_one_quarantines(database: Database, queued: int) -> None:
    first = claim(database)
    assert job_leases.fail_job(database, first, error="no memory", permanent=False, retry_in_s=3600, max_attempts=2) is JobState.QUEUED
    assert claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60) == []
    run(database, "UPDATE jobs SET next_attempt_at = node_now()")
    assert (
        job_leases.fail_job(database, claim(database), error="no memory", permanent=False, retry_in_s=0, max_attempts=2)
        is JobState.QUARANTINED
    )
    shown = show_job(database, queued)
    assert (shown["job_state"], shown["reason"]) == ("quarantined", "no memory")
    assert [row["result"] for row in shown["attempts_made"]] == ["failed", "failed"]


def test_a_permanent_error_is_not_retried(database: Database, queued: int) -> None:
    assert (
        job_leases.fail_job(database, claim(database), error="no weights", permanent=True, retry_in_s=0, max_attempts=9) is JobState.FAILED
    )
    assert claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60) == []


def test_a_job_that_kills_its_worker_is_quarantined(database: Database, queued: int) -> None:
    for _ in range(3):
        claim(database, lease_s=-1.0)
        job_leases.reap_jobs(database, max_attempts=3)
    assert state(database, queued) == JobState.QUARANTINED
    assert job_leases.reap_jobs(database, max_attempts=3) == 0
    assert [row["result"] for row in show_job(database, queued)["attempts_made"]] == ["lost"] * 3


def test_a_person_queues_a_failed_job_again(database: Database, queued: int) -> None:
    job_leases.fail_job(database, claim(database), error="x", permanent=True, retry_in_s=0, max_attempts=1)
    assert requeue_jobs(database, [queued, 999], "admin") == [queued]
    assert requeue_jobs(database, [queued], "admin") == []
    assert claim(database).attempt == 1
    assert scalar(database, "SELECT actor FROM audit_events WHERE action = 'job.requeued'") == "admin"


def test_a_released_attempt_does_not_count(database: Database, queued: int) -> None:
    outbox.mark_published(database, [row.id for row in outbox.pending_wake_ups(database, 10)])
    job_leases.release_job(database, claim(database))
    assert [row.job_id for row in outbox.pending_wake_ups(database, 10)] == [queued]
    assert claim(database).attempt == 1


def test_a_cancelled_job_loses_its_worker(database: Database, queued: int) -> None:
    job = claim(database)
    assert cancel_job(database, queued, "admin")
    assert not cancel_job(database, queued, "admin")
    with pytest.raises(LeaseLost):
        finish(database, job)
    assert state(database, queued) == JobState.CANCELLED
    assert requeue_jobs(database, [queued], "admin") == [queued]


def test_list_and_show(database: Database, queued: int) -> None:
    assert [row["job_id"] for row in list_jobs(database, state=JobState.QUEUED)] == [queued]
    assert list_jobs(database, state="failed") == []
    with pytest.raises(ConfigurationError, match="no job 999"):
        show_job(database, 999)


def test_a_worker_finds_its_job_while_the_wake_up_is_being_marked(database: Database, queued: int) -> None:
    """The message may arrive before the wake-up is marked as published; the job must not be locked by that."""
    (row,) = outbox.pending_wake_ups(database, 10)
    with database.begin() as marking:
        marking.execute(outbox._PUBLISHED, {"ids": [row.id]})
        assert [job.id for job in claim_jobs(database, worker="w", priorities=None, models=None, lease_s=30)] == [queued]


def test_stale_wake_ups_are_published_again(database: Database, queued: int) -> None:
    assert outbox.republish_stale(database, dwell_s=0, cap=10) == 0  # one is pending
    outbox.mark_published(database, [row.id for row in outbox.pending_wake_ups(database, 10)])
    assert outbox.pending_wake_ups(database, 10) == []
    assert outbox.republish_stale(database, dwell_s=60, cap=10) == 0  # not old enough
    assert outbox.republish_stale(database, dwell_s=0, cap=0) == 0  # the cap
    assert outbox.republish_stale(database, dwell_s=0, cap=10) == 1
    outbox.mark_published(database, [row.id for row in outbox.pending_wake_ups(database, 10)])
    claim(database)
    assert outbox.republish_stale(database, dwell_s=0, cap=10) == 0  # a worker has claimed it
    assert unit_of(database).revision == 1


def test_a_job_that_is_lost_twice_goes_behind_the_others(database: Database, queued: int) -> None:
    sender = Sender(database)
    others = []
    for number in range(3):
        sender.send(1, series=f"1.7.{number}", study=f"1.6.{number}")
        others += complete(database, plan(), study=f"1.6.{number}") or []
    for _ in range(2):  # lost once, it keeps its place
        assert claim(database, lease_s=-1).id == queued
        assert job_leases.reap_jobs(database, max_attempts=9, retry_base_s=0.0) == 1
    assert [claim(database).id for _ in range(4)] == [*others, queued]


def test_a_job_that_is_lost_again_waits_longer_each_time(database: Database, queued: int) -> None:
    for lost, wait_s in ((1, 0.0), (2, 40.0), (3, 80.0)):
        run(database, "UPDATE jobs SET next_attempt_at = node_now()")
        claim(database, lease_s=-1)
        assert job_leases.reap_jobs(database, max_attempts=9, retry_base_s=40.0) == 1
        waits = scalar(database, "SELECT extract(epoch FROM next_attempt_at - node_now()) FROM jobs")
        assert wait_s - 35 < float(str(waits)) <= wait_s, f"after attempt {lost}"


def test_a_released_job_keeps_its_place(database: Database, queued: int) -> None:
    Sender(database).send(1, series="1.7", study="1.6")
    complete(database, plan(), study="1.6")
    job_leases.release_job(database, claim(database))
    assert claim(database).id == queued
