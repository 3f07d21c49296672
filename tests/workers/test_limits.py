"""An attempt that needs too much ends with that reason; its neighbours go on; whoever waits is told."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from core.errors import EncodingError
from core.records import ReportObject
from core.settings import Settings
from core.states import Priority, ReportKind, UnitKind
from db import jobs
from db.base import Database
from db.blobs import Blobs
from imaging.encapsulate import jpeg_to_dicom
from imaging.synthetic.lesion import lesion_identity
from tests.support.queueing import Queueing, configure
from tests.support.records import run
from tests.workers.test_celery import Site
from workers import gpu, infer
from workers.drain import DrainFlag
from workers.limits import MemoryWatch, machine_mib, memory_of_child
from workers.results import bounded
from workers.runtime import Runtime


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return configure(tmp_path, database_url)


@pytest.fixture
def runtime(settings: Settings, database: Database) -> Runtime:
    return Runtime(settings, database, Blobs(settings.blobs_dir), DrainFlag(), (Priority.URGENT, Priority.ROUTINE), "test:1", 1, "cpu")


def _huge(seed: int, edge: int) -> Dataset:
    """A photograph of little more than nothing on disk, and three bytes a pixel in memory."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((edge, edge, 3), 120, np.uint8)).save(buffer, "JPEG", quality=30)
    return jpeg_to_dicom(
        buffer.getvalue(), identity=lesion_identity(seed), series_instance_uid=f"1.2.3.{seed}", sop_instance_uid=f"1.2.4.{seed}"
    )


def test_who_needs_too_much_memory_is_given_up_with_the_reason_and_the_others_are_not(runtime: Runtime, database: Database) -> None:
    queueing = Queueing(database, runtime.blobs)
    first, _ = queueing.photograph(1)
    assert infer.wake(runtime) == 1  # the model is warm: what is measured from here on is the job
    poison, _ = queueing.queue([_huge(2, 8000)], UnitKind.IMAGE)
    second, _ = queueing.photograph(3)
    left: list[float] = []
    runtime.memory_mib = gpu.resident_mib() + 90  # the photograph is 183, for longer than the watch looks away
    runtime.leave = lambda: left.append(time.monotonic())  # a child would end here, and another follow
    for _ in range(8):
        infer.wake(runtime)
        run(database, "UPDATE jobs SET next_attempt_at = node_now()")
    shown = {id: jobs.show(database, id) for id in (first, poison, second)}
    assert [shown[id]["job_state"] for id in (first, second)] == ["reported", "reported"]
    assert len(left) == runtime.settings.worker.max_attempts == 3
    assert (shown[poison]["job_state"], shown[poison]["outcome"]) == ("quarantined", "not_analysed")
    errors = [attempt["error"] for attempt in shown[poison]["attempts_made"] if attempt["kind"] == "analysis"]
    assert len(errors) == 3
    for error in errors:
        assert "of memory, and worker.memory_limit_mib allows" in error
    assert [delivery["state"] for delivery in shown[poison]["deliveries"]] == ["pending"]  # the report that says so


def test_a_real_child_ends_and_another_follows_until_the_attempts_are_used_up(
    tmp_path: Path, database: Database, database_url: str, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOM_NODE_WORKER__MEMORY_LIMIT_MIB", "100")  # less than torch alone
    site = Site(tmp_path, database, database_url, broker_url, configure(tmp_path, database_url, broker_url))
    try:
        job, _ = site.queueing.queue([_huge(1, 4000)], UnitKind.IMAGE)  # which takes longer than the watch looks away
        worker = site.worker()
        deadline = time.monotonic() + 240
        while site.state(job) != "quarantined" and time.monotonic() < deadline:
            time.sleep(0.5)
        assert site.state(job) == "quarantined"
        errors = [attempt["error"] for attempt in jobs.show(database, job)["attempts_made"] if attempt["kind"] == "analysis"]
        assert len(errors) == 3
        assert all("worker.memory_limit_mib allows 100 MiB" in error for error in errors)
        assert worker.process.poll() is None  # it serves on
        assert "the models alone hold more memory" in worker.said()
    finally:
        site.close()


def test_the_watch_calls_once_and_only_above_the_limit() -> None:
    told: list[int] = []
    with MemoryWatch(1, told.append):
        time.sleep(0.5)
    assert len(told) == 1
    assert told[0] > 1
    with MemoryWatch(1 << 40, told.append):
        time.sleep(0.3)
    assert len(told) == 1


def test_a_child_may_hold_its_share_of_what_there_is(tmp_path: Path) -> None:
    assert memory_of_child(0, 1, 1000) == 900
    assert memory_of_child(0, 4, 1000) == 225
    assert memory_of_child(700, 4, 1000) == 700
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "less").write_text(f"{300 << 20}\n")
    whole = machine_mib(())
    assert machine_mib((tmp_path / "none", tmp_path / "max")) == whole > 300
    assert machine_mib((tmp_path / "less",)) == 300


def test_an_object_beyond_the_limit_is_none() -> None:
    made = ReportObject(ReportKind.SEG, "seg", "1.2", "1.2.3", "1.2.4", b"x" * 100)
    assert bounded(made, 100) is made
    with pytest.raises(EncodingError, match=r"100 bytes, and worker\.max_object_bytes allows 99"):
        bounded(made, 99)


def test_a_report_beyond_the_limit_fails_the_job_and_one_object_does_not(settings: Settings, runtime: Runtime, database: Database) -> None:
    worker = settings.worker.model_copy(update={"max_object_bytes": 1 << 10})  # no report is as small
    runtime.settings = settings.model_copy(update={"worker": worker})
    job, _ = Queueing(database, runtime.blobs).photograph(1)
    infer.wake(runtime)
    shown = jobs.show(database, job)
    assert shown["job_state"] == "failed"
    assert "worker.max_object_bytes allows 1024" in shown["reason"]
