"""The next series is decoded while one is computed: at most one, the next in the queue, under its own lease."""

import threading
import time

import pytest

from core.errors import StorageError
from core.settings.settings import Settings
from core.states import Priority, UnitKind
from db.engine import Database
from db.jobs import not_analysed
from db.jobs.claim import claim_jobs
from db.jobs.job_admin import show_job
from db.jobs.job_records import ClaimedJob
from deploy.demo.synthetic.chest import chest_datasets, make_chest
from models.card import ModelCard
from tests.support.queued_jobs import JobFactory
from tests.support.records import run as execute
from tests.support.records import scalar
from tests.workers.conftest import child_runtime, with_worker
from workers.attempt import claim, prepare, wake_up
from workers.attempt.prefetch import Prefetch
from workers.attempt.prepare import PreparedUnit
from workers.child.runtime import ChildRuntime

MODEL = "lung_nodule_ct"


@pytest.fixture
def runtime(settings: Settings, database: Database) -> ChildRuntime:
    made = child_runtime(settings, database)
    made.models.load_serving(MODEL)
    return made


def series(factory: JobFactory, seed: int, priority: Priority = Priority.ROUTINE) -> int:
    """Queue a series that is read as a volume, but has too few slices to be analysed; its job."""
    datasets = list(chest_datasets(make_chest(seed, slices=12, size=64, slice_mm=8.0, diameters_mm=())))
    return factory.queue(datasets, UnitKind.SERIES, MODEL, priority=priority)[0]


def first(runtime: ChildRuntime) -> ClaimedJob:
    (job,) = claim_jobs(runtime.database, worker=runtime.name, priorities=None, models=None, lease_s=30)
    return job


def states(database: Database) -> str:
    return str(scalar(database, "SELECT string_agg(state || ' ' || attempts, ', ' ORDER BY id) FROM jobs"))


def test_all_series_but_the_first_are_decoded_in_advance(
    runtime: ChildRuntime, factory: JobFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [series(factory, seed) for seed in (1, 2, 3)]
    threads: dict[int, str] = {}
    prepare_unit = prepare.prepare_unit

    def noted(runtime: ChildRuntime, job: ClaimedJob, card: ModelCard) -> PreparedUnit:
        threads[job.id] = threading.current_thread().name
        return prepare_unit(runtime, job, card)

    monkeypatch.setattr(prepare, "prepare_unit", noted)
    assert wake_up.handle_wake_up(runtime) == 3
    assert [threads[id].rpartition("_")[0] for id in ids] == ["", "prefetch", "prefetch"]
    for id in ids:
        shown = show_job(runtime.database, id)
        assert (shown["job_state"], shown["outcome"], shown["attempts"]) == ("reported", "not_analysed", 1)


def test_the_prefetched_job_has_a_lease_and_is_given_back_without_an_attempt(runtime: ChildRuntime, factory: JobFactory) -> None:
    series(factory, 1)
    series(factory, 2)
    prefetch = Prefetch(runtime)
    prefetch.start(first(runtime))
    assert states(runtime.database) == "running 1, running 1"
    assert prefetch.priority is Priority.ROUTINE
    prefetch.give_back()
    assert states(runtime.database) == "running 1, queued 0"
    assert prefetch.priority is None
    assert scalar(runtime.database, "SELECT count(*) FROM outbox WHERE published_at IS NULL AND job_id = 2") == 1


def test_an_urgent_job_is_claimed_before_the_prefetched_one(runtime: ChildRuntime, factory: JobFactory) -> None:
    series(factory, 1)
    read = series(factory, 2)
    prefetch = Prefetch(runtime)
    prefetch.start(first(runtime))
    urgent = series(factory, 3, Priority.URGENT)
    assert [job.id for job in claim.claim_next(runtime, prefetch)] == [urgent]
    assert [job.id for job in claim.claim_next(runtime, prefetch)] == [read]
    assert claim.claim_next(runtime, prefetch) == []


def test_without_memory_for_both_the_series_is_not_decoded_in_advance(runtime: ChildRuntime, factory: JobFactory) -> None:
    series(factory, 1)
    series(factory, 2)
    prefetch = Prefetch(runtime)
    runtime.memory_limit_mib = 1
    prefetch.start(first(runtime))
    job = prefetch.take()
    assert job is not None
    assert not prefetch.decoding
    assert prefetch.prepared(job) is None


def test_a_job_whose_size_cannot_be_read_is_held_all_the_same(
    runtime: ChildRuntime, factory: JobFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is leased: without a holder it would wait until its lease expires, and the attempt would count."""
    series(factory, 1)
    series(factory, 2)

    def unreachable(*_: object) -> None:
        raise StorageError("the database does not respond")

    monkeypatch.setattr(not_analysed, "first_input_header", unreachable)
    prefetch = Prefetch(runtime)
    prefetch.start(first(runtime))
    assert not prefetch.decoding
    prefetch.give_back()
    assert states(runtime.database) == "running 1, queued 0"


def test_a_job_is_not_prefetched_if_it_or_the_current_one_was_tried_before(runtime: ChildRuntime, factory: JobFactory) -> None:
    series(factory, 1)
    series(factory, 2)
    execute(runtime.database, "UPDATE jobs SET attempts = 1 WHERE id = 2")
    prefetch = Prefetch(runtime)
    prefetch.start(first(runtime))
    assert prefetch.priority is None
    again = first(runtime)
    execute(runtime.database, "UPDATE jobs SET state = 'queued', attempts = 0, token = NULL, lease_until = NULL WHERE id = 1")
    prefetch.start(again)
    assert (again.attempt, prefetch.priority) == (2, None)


def test_a_prefetched_unit_with_a_new_revision_is_not_taken(runtime: ChildRuntime, factory: JobFactory, settings: Settings) -> None:
    series(factory, 1)
    series(factory, 2)
    now = first(runtime)
    runtime.settings = with_worker(settings, lease_s=1.0)
    prefetch = Prefetch(runtime)
    prefetch.start(now)
    assert prefetch._job is not None
    assert prefetch._lease is not None
    execute(runtime.database, "UPDATE units SET revision = revision + 1")
    deadline = time.monotonic() + 200
    while not prefetch._lease.lost(prefetch._job):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert prefetch.take() is None


def test_a_draining_worker_gives_the_prefetched_job_back_at_once(runtime: ChildRuntime, factory: JobFactory) -> None:
    series(factory, 1)
    series(factory, 2)
    prefetch = Prefetch(runtime)
    prefetch.start(first(runtime))
    runtime.draining.set()
    deadline = time.monotonic() + 200
    while states(runtime.database) != "running 1, queued 0":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    prefetch.give_back()
    assert states(runtime.database) == "running 1, queued 0"
