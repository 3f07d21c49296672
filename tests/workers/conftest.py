"""Fixtures of the tests that run attempts in the test's process, on a real database, real blobs and real models."""

import io
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.settings.settings import Settings
from core.states import Priority
from db.blobs.store import Blobs
from db.engine import Database
from models import registry
from models import runtime as model_runtime
from models.protocol import Model
from tests.support.queued_jobs import JobFactory, configure
from tests.support.records import scalar
from workers.child.drain_flag import DrainFlag
from workers.child.runtime import ChildRuntime
from workers.encode.validate.validator import validate

load_folder = model_runtime.load_folder


@cache
def load_packaged(folder: Path, device: str, package: str) -> Model:
    """Load and warm a model of the package once in a process of tests, as a worker's child does; warming it again does nothing."""
    model = load_folder(folder, device=device, package=package)
    model.warm_up()
    model.warm_up = lambda: None  # type: ignore[method-assign]
    return model


@pytest.fixture(scope="module", autouse=True)
def shared_models() -> Iterator[None]:
    """The runtimes of all tests share the models of the package. A model in any other folder is loaded each time."""

    def load(folder: Path, *, device: str = "auto", package: str) -> Model:
        packaged = folder.parent == registry.MODELS_FOLDER
        return load_packaged(folder, device, package) if packaged else load_folder(folder, device=device, package=package)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_runtime, "load_folder", load)
        yield


@contextmanager
def alarm_handled(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call ``handle`` in place of Celery's soft time limit: after a second, then twice a second, until the timer or the block ends."""
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 1.0, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


UNHURRIED = {"lease_s": 600.0, "soft_s": 6000.0, "hard_s": 9000.0}


def with_worker(settings: Settings, **values: object) -> Settings:
    """The settings with other values in their worker section."""
    return settings.model_copy(update={"worker": settings.worker.model_copy(update=values)})


def child_runtime(settings: Settings, database: Database, *, threads: int = 1) -> ChildRuntime:
    """A child's runtime without heartbeat; a model is loaded when a job needs it."""
    priorities = (Priority.URGENT, Priority.ROUTINE)
    return ChildRuntime(settings, database, Blobs(settings.blobs_dir), DrainFlag(), priorities, "test:1", threads, "cpu")


def report_of(runtime: ChildRuntime, job_id: int) -> Dataset:
    """The structured report of a job, which must pass the check."""
    return stored_object(runtime, f"WHERE job_id = {job_id} AND kind = 'sr'")


def stored_object(runtime: ChildRuntime, condition: str) -> Dataset:
    """The first result object to which a condition applies, which must pass the check."""
    content = runtime.blobs.read(str(scalar(runtime.database, f"SELECT sha256 FROM reports {condition} LIMIT 1")))
    assert validate(content) == ()
    return dcmread(io.BytesIO(content))


def texts_of(document: Dataset) -> list[str]:
    """The text items of a structured report."""
    return [str(element.value) for element in document.iterall() if element.keyword == "TextValue"]


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings without a broker, with limits and pauses that a slow machine does not reach.

    A wake-up starts jobs for a share of its time limit, and a failed job is retried only when a test changes its ``next_attempt_at``.
    """
    return with_worker(configure(tmp_path, database_url, **UNHURRIED), retry_base_s=3600.0)


@pytest.fixture
def runtime(settings: Settings, database: Database) -> ChildRuntime:
    """The runtime that the attempts of a test share."""
    return child_runtime(settings, database)


@pytest.fixture
def factory(runtime: ChildRuntime) -> JobFactory:
    """Puts units into the runtime's stores."""
    return JobFactory(runtime.database, runtime.blobs)
