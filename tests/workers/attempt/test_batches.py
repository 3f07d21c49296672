"""Waiting photographs share a pass through the model, and nothing else: each has its own prediction, to the bit, and its own attempt."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, cast

import pytest
import torch
from celery.exceptions import SoftTimeLimitExceeded

from core.records import Prediction
from core.settings.settings import Settings
from core.states import Outcome, Priority
from db.engine import Database
from db.jobs import job_leases
from db.jobs.claim import claim_jobs
from db.jobs.job_admin import show_job
from imaging.photograph.read import Photograph, read_photograph
from models.runtime import Model
from tests.support.queued_jobs import SKIN, JobFactory, unblock_reader
from tests.support.records import run as execute
from tests.support.records import scalar
from tests.workers.conftest import alarm_handled, child_runtime, with_worker
from workers.attempt import claim, prepare, wake_up
from workers.attempt.lease import Lease
from workers.attempt.predict import predict_in_halves
from workers.child.runtime import ChildRuntime


class RecordingModel:
    """The real model, which records how many photographs each pass had; ``before`` may raise for what it is given."""

    def __init__(self, model: Model, before: Callable[[Sequence[Photograph]], None] = lambda _: None) -> None:
        self._model, self._before = model, before
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def predict(self, items: Sequence[Photograph]) -> list[Prediction]:
        self.sizes.append(len(items))
        self._before(items)
        return self._model.predict(items)


@pytest.fixture
def runtime(settings: Settings, database: Database) -> ChildRuntime:
    made = child_runtime(settings, database, threads=2)
    made.models.load_serving(SKIN)
    return made


def record_passes(runtime: ChildRuntime, before: Callable[[Sequence[Photograph]], None] = lambda _: None) -> RecordingModel:
    """Let the runtime's model record its passes from now on."""
    ((digest, model),) = runtime.models.by_digest.items()
    watched = RecordingModel(model, before)
    runtime.models.by_digest[digest] = cast(Model, watched)
    return watched


def ended(database: Database, ids: Sequence[int]) -> list[tuple[str, int]]:
    """State and number of attempts of each."""
    shown = [show_job(database, id) for id in ids]
    return [(str(one["job_state"]), len(one["attempts_made"])) for one in shown]


def test_waiting_photographs_share_a_pass_with_the_same_predictions_as_alone(runtime: ChildRuntime, factory: JobFactory) -> None:
    queued = [factory.photograph(seed) for seed in range(1, 6)]
    (single,) = runtime.models.by_digest.values()
    alone = [single.predict([read_photograph(runtime.blobs.path(sha256))])[0] for _, sha256 in queued]
    model = record_passes(runtime)
    assert wake_up.handle_wake_up(runtime) == 5
    assert model.sizes == [5]
    for (id, _), answer in zip(queued, alone, strict=True):
        shown = show_job(runtime.database, id)
        assert (shown["job_state"], shown["outcome"]) == ("reported", answer.outcome)
        assert shown["probabilities"] == dict(answer.probabilities)  # every bit
        assert [(row["kind"], row["result"]) for row in shown["attempts_made"]] == [("analysis", "reported")]
        assert [row["state"] for row in shown["deliveries"]] == ["pending"]


def test_a_pass_holds_no_more_photographs_than_the_model_allows(runtime: ChildRuntime, factory: JobFactory) -> None:
    for seed in range(1, 6):
        factory.photograph(seed)
    model = record_passes(runtime)
    model.batch = 2
    assert wake_up.handle_wake_up(runtime) == 5
    assert model.sizes == [2, 2, 1]


def test_with_one_attempt_only_photographs_do_not_share_a_pass(runtime: ChildRuntime, factory: JobFactory, settings: Settings) -> None:
    factory.photograph(1)
    factory.photograph(2)
    runtime.settings = with_worker(settings, max_attempts=1)
    model = record_passes(runtime)
    assert wake_up.handle_wake_up(runtime) == 2
    assert model.sizes == [1, 1]


def test_a_single_photograph_does_not_wait_and_a_partial_batch_waits_for_more(
    runtime: ChildRuntime, factory: JobFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def meanwhile(seconds: float) -> None:
        waits.append(seconds)
        factory.photograph(9)

    monkeypatch.setattr(claim, "sleep", meanwhile)
    factory.photograph(1)
    model = record_passes(runtime)
    wake_up.handle_wake_up(runtime)
    assert (model.sizes, waits) == ([1], [])
    factory.photograph(2)
    factory.photograph(3)
    wake_up.handle_wake_up(runtime)
    assert (model.sizes, waits) == ([1, 3], [claim.BATCH_WAIT_S])


def test_an_urgent_photograph_is_not_batched_with_routine_ones(runtime: ChildRuntime, factory: JobFactory) -> None:
    factory.photograph(1)
    factory.photograph(2)
    factory.photograph(3, priority=Priority.URGENT)
    model = record_passes(runtime)
    wake_up.handle_wake_up(runtime)
    assert model.sizes == [1, 2]


def test_an_unreadable_photograph_does_not_end_the_other_attempts(runtime: ChildRuntime, factory: JobFactory) -> None:
    ids = [factory.photograph(1)[0]]
    failing, sha256 = factory.photograph(2)
    ids += [failing, factory.photograph(3)[0]]
    runtime.blobs.path(sha256).unlink()
    model = record_passes(runtime)
    wake_up.handle_wake_up(runtime)
    assert model.sizes == [2]
    assert ended(runtime.database, ids) == [("reported", 1), ("queued", 1), ("reported", 1)]


def test_the_photograph_that_fails_the_pass_is_found_and_the_others_are_reported(runtime: ChildRuntime, factory: JobFactory) -> None:
    queued = [factory.photograph(seed) for seed in range(1, 6)]
    failing = read_photograph(runtime.blobs.path(queued[3][1]))

    def refuse(items: Sequence[Photograph]) -> None:
        if any((item.rgb == failing.rgb).all() for item in items):
            raise RuntimeError("a defect")

    model = record_passes(runtime, refuse)
    wake_up.handle_wake_up(runtime)
    assert model.sizes == [5, 2, 3, 1, 2, 1, 1]
    assert ended(runtime.database, [id for id, _ in queued]) == [("reported", 1)] * 3 + [("queued", 1), ("reported", 1)]
    for _ in range(2):
        execute(runtime.database, "UPDATE jobs SET next_attempt_at = node_now()")
        wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, queued[3][0])
    assert (shown["job_state"], shown["outcome"]) == ("quarantined", Outcome.NOT_ANALYSED)
    assert "a defect" in shown["reason"]


def test_a_batch_that_does_not_fit_is_split_in_halves(runtime: ChildRuntime, factory: JobFactory) -> None:
    items = [read_photograph(runtime.blobs.path(factory.photograph(seed)[1])) for seed in range(1, 6)]

    def limit(given: Sequence[Photograph]) -> None:
        if len(given) > 2:
            raise MemoryError

    model = record_passes(runtime, limit)
    predictions = predict_in_halves(cast(Model, model), items)
    assert model.sizes == [5, 2, 3, 1, 2]
    assert predictions == [model.predict([item])[0] for item in items]


def test_many_pixels_take_several_passes(runtime: ChildRuntime, factory: JobFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [factory.photograph(seed)[0] for seed in range(1, 6)]
    monkeypatch.setattr(prepare, "MAX_BATCH_BYTES", 1)
    model = record_passes(runtime)
    assert wake_up.handle_wake_up(runtime) == 5
    assert model.sizes == [2, 2, 1]  # as many as are decoded at a time
    assert ended(runtime.database, ids) == [("reported", 1)] * 5


def test_a_job_whose_attempt_was_lost_is_tried_alone(runtime: ChildRuntime, factory: JobFactory) -> None:
    ids = [factory.photograph(seed)[0] for seed in (1, 2, 3)]
    assert len(claim_jobs(runtime.database, worker="gone:1", priorities=None, models=None, lease_s=-1.0, limit=2)) == 2
    assert job_leases.reap_jobs(runtime.database, max_attempts=3) == 2
    model = record_passes(runtime)
    wake_up.handle_wake_up(runtime)
    assert model.sizes == [1, 1, 1]
    assert ended(runtime.database, ids) == [("reported", 2), ("reported", 2), ("reported", 1)]


def test_a_photograph_whose_reading_hangs_ends_the_process_and_the_others_are_queued_again(
    runtime: ChildRuntime, factory: JobFactory
) -> None:
    queued = [factory.photograph(seed) for seed in (1, 2, 3)]
    path = runtime.blobs.path(queued[1][1])
    path.unlink()
    os.mkfifo(path)  # the thread that opens it blocks
    ended_processes: list[int] = []
    runtime.end_process = lambda: ended_processes.append(1)

    def over(_: int, __: FrameType | None) -> None:
        callers = [frame.f_back for frame in sys._current_frames().values() if frame.f_code.co_name == "open"]
        if any(frame is not None and frame.f_code.co_name == "verify" and frame.f_locals["path"] == path for frame in callers):
            signal.setitimer(signal.ITIMER_REAL, 0)  # once, as Celery does
            raise SoftTimeLimitExceeded

    try:
        with alarm_handled(over):
            wake_up.handle_wake_up(runtime)
    finally:
        unblock_reader(path)
    assert ended_processes
    path.unlink()
    assert ended(runtime.database, [id for id, _ in queued]) == [("queued", 1)] * 3
    execute(runtime.database, "UPDATE jobs SET next_attempt_at = node_now()")
    wake_up.handle_wake_up(runtime)
    assert [state for state, _ in ended(runtime.database, [id for id, _ in queued])] == ["reported", "queued", "reported"]


def test_an_error_of_the_gpu_ends_the_process_and_all_its_jobs_are_queued_again(runtime: ChildRuntime, factory: JobFactory) -> None:
    ids = [factory.photograph(seed)[0] for seed in (1, 2, 3)]
    ended_processes: list[int] = []
    runtime.end_process = lambda: ended_processes.append(1)

    def fail(_: Sequence[Photograph]) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    record_passes(runtime, fail)
    wake_up.handle_wake_up(runtime)
    assert ended_processes
    assert ended(runtime.database, ids) == [("queued", 1)] * 3
    assert "illegal memory access" in str(scalar(runtime.database, f"SELECT error FROM attempts WHERE job_id = {ids[2]}"))


@pytest.mark.parametrize("kind", [torch.cuda.OutOfMemoryError, ValueError])
def test_other_errors_leave_the_process_as_it_is(runtime: ChildRuntime, factory: JobFactory, kind: type[Exception]) -> None:
    factory.photograph(1)
    ended_processes: list[int] = []
    runtime.end_process = lambda: ended_processes.append(1)

    def fail(_: Sequence[Photograph]) -> None:
        raise kind("CUDA out of memory." if kind is torch.cuda.OutOfMemoryError else "a defect")

    record_passes(runtime, fail)
    wake_up.handle_wake_up(runtime)
    assert not ended_processes


def test_a_draining_worker_gives_back_jobs_that_have_not_ended(runtime: ChildRuntime, factory: JobFactory) -> None:
    for seed in (1, 2, 3):
        factory.photograph(seed)
    claimed = claim_jobs(runtime.database, worker="test:1", priorities=None, models=None, lease_s=30, limit=3)
    runtime.draining.set()
    with Lease(runtime.database, claimed, 30.0, runtime.draining, grace_s=0.0, given_back=None) as lease:
        lease.done(claimed[0])
        while lease.held():
            time.sleep(0.02)
    assert [lease.lost(job) for job in claimed] == [False, True, True]
    states = "SELECT string_agg(state, ' ' ORDER BY id) FROM jobs"
    assert scalar(runtime.database, states) == "running queued queued"
    assert scalar(runtime.database, "SELECT sum(attempts) FROM jobs") == 1
