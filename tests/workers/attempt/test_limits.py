"""An attempt that needs too much ends with that reason; its neighbours go on; whoever waits is told."""

import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from core.errors import EncodingError
from core.records import ResultObject
from core.settings.settings import Settings
from core.states import Priority, ResultKind, UnitKind
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs import job_leases
from deploy.demo.synthetic.lesion import lesion_identity
from imaging.photograph.encapsulate import jpeg_to_dicom
from tests.support.queued_jobs import JobFactory, configure
from tests.support.records import scalar
from tests.workers.queue.test_celery import Site
from workers.attempt import claim, device, limits
from workers.attempt.child_runtime import Runtime
from workers.attempt.drain_flag import DrainFlag
from workers.attempt.limits import MemoryWatch, machine_mib, memory_of_child
from workers.results.objects import bounded

ATTEMPTS = 2


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return configure(tmp_path, database_url)


@pytest.fixture
def runtime(settings: Settings, database: Database) -> Runtime:
    return Runtime(settings, database, Blobs(settings.blobs_dir), DrainFlag(), (Priority.URGENT, Priority.ROUTINE), "test:1", 1, "cpu")


@pytest.fixture
def site(tmp_path: Path, database: Database, database_url: str, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("DICOM_NODE_WORKER__MAX_ATTEMPTS", str(ATTEMPTS))  # each is a child that loads its models anew
    made = Site(tmp_path, database, database_url, broker_url, configure(tmp_path, database_url, broker_url))
    yield made
    made.close()


def _huge(seed: int, edge: int) -> Dataset:
    """A photograph of little more than nothing on disk, and three bytes a pixel in memory."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((edge, edge, 3), 120, np.uint8)).save(buffer, "JPEG", quality=30)
    return jpeg_to_dicom(
        buffer.getvalue(), identity=lesion_identity(seed), series_instance_uid=f"1.2.3.{seed}", sop_instance_uid=f"1.2.4.{seed}"
    )


def errors_of(database: Database, job: int) -> list[str]:
    return [attempt["error"] for attempt in job_leases.show(database, job)["attempts_made"] if attempt["kind"] == "analysis"]


@pytest.mark.services
def test_who_needs_too_much_memory_is_given_up_with_the_reason_and_the_others_are_not(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = site.queueing.photograph(1)
    unlimited = site.worker()
    site.until(lambda: site.state(first) == "reported")
    most_kib = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{unlimited.child()}/status").read_text())
    unlimited.kill()
    assert most_kib is not None
    monkeypatch.setenv("DICOM_NODE_WORKER__MEMORY_LIMIT_MIB", str((int(most_kib[1]) >> 10) + 60))
    poison, _ = site.queueing.queue([_huge(2, 6000)], UnitKind.IMAGE)  # 103 MiB
    others = [site.queueing.photograph(seed)[0] for seed in (3, 4)]
    worker = site.worker()
    site.until(lambda: site.state(poison) == "quarantined" and {site.state(job) for job in others} == {"reported"}, 240)
    errors = errors_of(site.database, poison)
    assert len(errors) == ATTEMPTS
    for error in errors:
        assert "of memory, and worker.memory_limit_mib allows" in error
    site.until(
        lambda: [one["state"] for one in job_leases.show(site.database, poison)["deliveries"]] == ["pending"]
    )  # the report that says so
    assert job_leases.show(site.database, poison)["outcome"] == "not_analysed"
    assert worker.process.poll() is None


@pytest.mark.services
def test_where_the_models_alone_hold_too_much_no_work_is_begun_and_the_report_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE_WORKER__MEMORY_LIMIT_MIB", "100")  # less than torch alone
    job, _ = site.queueing.photograph(1)  # the shortest job there is
    worker = site.worker()
    site.until(lambda: site.state(job) == "quarantined", 240)
    errors = errors_of(site.database, job)
    assert len(errors) == ATTEMPTS
    assert all("worker.memory_limit_mib allows 100 MiB" in error for error in errors)
    site.until(lambda: [one["state"] for one in job_leases.show(site.database, job)["deliveries"]] == ["pending"])
    assert worker.process.poll() is None  # it serves on
    assert "the models alone hold more memory" in worker.said()


def test_an_attempt_that_ends_between_two_looks_is_not_committed_either(
    runtime: Runtime, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EVERY_S", 3600.0)
    queueing = JobFactory(database, runtime.blobs)
    first, _ = queueing.photograph(1)
    assert claim.wake(runtime) == 1  # the model is warm: what is measured from here on is the job
    poison, _ = queueing.queue([_huge(2, 6000)], UnitKind.IMAGE)
    left: list[int] = []
    runtime.memory_mib = device.resident_mib() + 60
    runtime.leave = lambda: left.append(1)  # a child would end here
    claim.wake(runtime)
    assert left == [1]
    assert errors_of(database, first) == [""]
    (error,) = errors_of(database, poison)
    assert "of memory, and worker.memory_limit_mib allows" in error
    assert job_leases.show(database, poison)["job_state"] == "queued"
    assert scalar(database, f"SELECT count(*) FROM reports WHERE job_id = {poison}") == 0
    assert scalar(database, f"SELECT count(*) FROM findings WHERE job_id = {poison}") == 0


def test_no_model_is_loaded_where_the_process_holds_too_much_before(runtime: Runtime, database: Database) -> None:
    job, _ = JobFactory(database, runtime.blobs).photograph(1)
    runtime.memory_mib = 1
    claim.wake(runtime)
    assert len(errors_of(database, job)) == 1
    assert runtime.models == {}


def test_the_watch_calls_once_at_the_beginning_and_only_above_the_limit() -> None:
    told: list[int] = []
    with MemoryWatch(1, told.append) as watch:
        assert len(told) == 1
        watch.look()
    assert len(told) == 1
    assert told[0] > 1
    with MemoryWatch(1 << 40, told.append) as watch:
        watch.look()
    assert len(told) == 1


def test_the_watch_looks_beside_the_work() -> None:
    told = threading.Event()
    with MemoryWatch(device.resident_mib() + 60, lambda _: told.set()):
        held = np.ones(150 << 20, np.uint8)
        assert told.wait(10)
    assert held.any()


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks but who is asked to."""
    monkeypatch.setattr(limits, "EVERY_S", 3600.0)


def come_and_gone() -> None:
    assert np.ones(150 << 20, np.uint8).any()


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("kernel_counts_anew", [True, False])
def test_what_came_and_went_is_seen_and_what_was_there_before_is_not(
    kernel_counts_anew: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.restart_peak()
    if not kernel_counts_anew:
        monkeypatch.setattr(limits, "_CLEAR_REFS", tmp_path)  # no file
    told: list[int] = []
    come_and_gone()
    limit_mib = device.resident_mib() + 60
    with MemoryWatch(limit_mib, told.append) as watch:
        watch.look()
        assert told == []
        assert watch.before_mib > limit_mib
        again = [np.ones(150 << 20, np.uint8) for _ in range(1 if kernel_counts_anew else 2)]
        del again
        watch.look()
    assert len(told) == 1


@pytest.mark.usefixtures("never")
def test_at_the_end_only_what_is_still_held_counts() -> None:
    told: list[int] = []
    limit_mib = device.resident_mib() + 60
    with MemoryWatch(limit_mib, told.append):
        come_and_gone()
    assert told == []
    with MemoryWatch(limit_mib, told.append):
        held = np.ones(150 << 20, np.uint8)
    assert len(told) == 1
    assert held.any()


def test_where_the_kernel_does_not_count_what_is_held_is_the_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "status").write_text("VmRSS: 5 kB\n")
    monkeypatch.setattr(limits, "_STATUS", tmp_path / "status")
    come_and_gone()
    assert abs(limits.peak_mib() - device.resident_mib()) < 20


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
    made = ResultObject(ResultKind.SEG, "seg", "1.2", "1.2.3", "1.2.4", b"x" * 100)
    assert bounded(made, 100) is made
    with pytest.raises(EncodingError, match=r"100 bytes, and worker\.max_object_bytes allows 99"):
        bounded(made, 99)


def test_a_report_beyond_the_limit_fails_the_job_and_one_object_does_not(settings: Settings, runtime: Runtime, database: Database) -> None:
    worker = settings.worker.model_copy(update={"max_object_bytes": 1 << 10})  # no report is as small
    runtime.settings = settings.model_copy(update={"worker": worker})
    job, _ = JobFactory(database, runtime.blobs).photograph(1)
    claim.wake(runtime)
    shown = job_leases.show(database, job)
    assert shown["job_state"] == "failed"
    assert "worker.max_object_bytes allows 1024" in shown["reason"]
