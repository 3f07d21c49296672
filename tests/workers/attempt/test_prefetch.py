"""The next series is decoded while one is computed: one, the next in the queue, under its lease, and nobody pays for it."""

import threading
import time
from pathlib import Path

import pytest

from core.settings.settings import Settings
from core.states import Priority, UnitKind
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs import job_leases
from db.records import ClaimedJob
from deploy.demo.synthetic.chest import chest_datasets, make_chest
from models.card import ModelCard
from tests.support.queued_jobs import JobFactory, configure
from tests.support.records import run as execute
from tests.support.records import scalar
from workers.attempt import claim, prepare
from workers.attempt.child_runtime import Runtime
from workers.attempt.drain_flag import DrainFlag
from workers.attempt.prefetch import Ahead
from workers.attempt.prepare import Prepared

MODEL = "lung_nodule_ct"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return configure(tmp_path, database_url)


@pytest.fixture
def runtime(settings: Settings, database: Database) -> Runtime:
    made = Runtime(settings, database, Blobs(settings.blobs_dir), DrainFlag(), (Priority.URGENT, Priority.ROUTINE), "test:1", 1, "cpu")
    made.served(MODEL)
    return made


@pytest.fixture
def queueing(database: Database, runtime: Runtime) -> JobFactory:
    return JobFactory(database, runtime.blobs)


def series(queueing: JobFactory, seed: int, priority: Priority = Priority.ROUTINE) -> int:
    """A few slices: read as a volume, and too few to be analysed."""
    datasets = list(chest_datasets(make_chest(seed, slices=12, size=64, slice_mm=8.0, diameters_mm=())))
    return queueing.queue(datasets, UnitKind.SERIES, MODEL, priority=priority)[0]


def first(runtime: Runtime) -> ClaimedJob:
    (job,) = job_leases.claim(runtime.database, worker=runtime.name, priorities=None, models=None, lease_s=30)
    return job


def states(database: Database) -> str:
    return str(scalar(database, "SELECT string_agg(state || ' ' || attempts, ', ' ORDER BY id) FROM jobs"))


def test_each_but_the_first_is_read_while_the_one_before_is_computed(
    runtime: Runtime, queueing: JobFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [series(queueing, seed) for seed in (1, 2, 3)]
    threads: dict[int, str] = {}
    one = prepare.one

    def noted(runtime: Runtime, job: ClaimedJob, card: ModelCard) -> Prepared:
        threads[job.id] = threading.current_thread().name
        return one(runtime, job, card)

    monkeypatch.setattr(prepare, "one", noted)
    assert claim.wake(runtime) == 3
    assert [threads[id].rpartition("_")[0] for id in ids] == ["", "ahead", "ahead"]
    for id in ids:
        shown = job_leases.show(runtime.database, id)
        assert (shown["job_state"], shown["outcome"], shown["attempts"]) == ("reported", "not_analysed", 1)


def test_it_has_a_lease_and_is_given_back_untouched(runtime: Runtime, queueing: JobFactory) -> None:
    series(queueing, 1)
    series(queueing, 2)
    ahead = Ahead(runtime)
    ahead.begin(first(runtime))
    assert states(runtime.database) == "running 1, running 1"
    assert ahead.priority is Priority.ROUTINE
    ahead.give_back()
    assert states(runtime.database) == "running 1, queued 0"
    assert ahead.priority is None
    assert scalar(runtime.database, "SELECT count(*) FROM outbox WHERE published_at IS NULL AND job_id = 2") == 1


def test_an_urgent_job_comes_before_it(runtime: Runtime, queueing: JobFactory) -> None:
    series(queueing, 1)
    read = series(queueing, 2)
    ahead = Ahead(runtime)
    ahead.begin(first(runtime))
    urgent = series(queueing, 3, Priority.URGENT)
    assert [job.id for job in claim._claimed(runtime, ahead)] == [urgent]
    assert [job.id for job in claim._claimed(runtime, ahead)] == [read]
    assert claim._claimed(runtime, ahead) == []


def test_where_there_is_no_memory_for_both_it_is_read_in_its_turn(runtime: Runtime, queueing: JobFactory) -> None:
    series(queueing, 1)
    series(queueing, 2)
    ahead = Ahead(runtime)
    runtime.memory_mib = 1
    ahead.begin(first(runtime))
    job = ahead.take()
    assert job is not None
    assert not ahead.reading
    assert ahead.prepared(job) is None


def test_the_next_is_left_where_it_is_no_series_or_either_was_tried_before(runtime: Runtime, queueing: JobFactory) -> None:
    series(queueing, 1)
    series(queueing, 2)
    execute(runtime.database, "UPDATE jobs SET attempts = 1 WHERE id = 2")
    ahead = Ahead(runtime)
    ahead.begin(first(runtime))
    assert ahead.priority is None
    again = first(runtime)
    execute(runtime.database, "UPDATE jobs SET state = 'queued', attempts = 0, token = NULL, lease_until = NULL WHERE id = 1")
    ahead.begin(again)
    assert (again.attempt, ahead.priority) == (2, None)


def test_a_unit_that_has_moved_on_is_not_taken(runtime: Runtime, queueing: JobFactory, settings: Settings) -> None:
    series(queueing, 1)
    series(queueing, 2)
    now = first(runtime)
    runtime.settings = settings.model_copy(update={"worker": settings.worker.model_copy(update={"lease_s": 1.0})})
    ahead = Ahead(runtime)
    ahead.begin(now)
    assert ahead._job is not None
    assert ahead._lease is not None
    execute(runtime.database, "UPDATE units SET revision = revision + 1")
    deadline = time.monotonic() + 60
    while not ahead._lease.lost(ahead._job):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert ahead.take() is None


def test_a_worker_that_drains_gives_it_back_at_once(runtime: Runtime, queueing: JobFactory) -> None:
    series(queueing, 1)
    series(queueing, 2)
    ahead = Ahead(runtime)
    ahead.begin(first(runtime))
    runtime.draining.set()
    deadline = time.monotonic() + 60
    while states(runtime.database) != "running 1, queued 0":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ahead.give_back()
    assert states(runtime.database) == "running 1, queued 0"
