"""An attempt over the memory limit or the size limit fails with that reason, and other jobs do not."""

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
from core.states import ResultKind, UnitKind
from db.engine import Database
from db.jobs.job_admin import show_job
from deploy.demo.synthetic.lesion import lesion_identity
from imaging.photograph.encapsulate import jpeg_to_dicom
from tests.support.queued_jobs import JobFactory, configure
from tests.support.records import scalar
from tests.workers.conftest import with_worker
from tests.workers.queue.site import TIMEOUT_S, Site
from workers.attempt import wake_up
from workers.child import device, memory_limit
from workers.child.memory_limit import MemoryWatch, available_mib, memory_of_child
from workers.child.runtime import ChildRuntime
from workers.results.make import within_limit

ATTEMPTS = 2

pytestmark = pytest.mark.timeout(3 * TIMEOUT_S)


@pytest.fixture
def site(tmp_path: Path, database: Database, database_url: str, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("DICOM_NODE_WORKER__MAX_ATTEMPTS", str(ATTEMPTS))  # each one ends a child
    made = Site(tmp_path, database, database_url, broker_url, configure(tmp_path, database_url, broker_url, soft_s=600.0, hard_s=900.0))
    yield made
    made.close()


def _huge(seed: int, edge: int) -> Dataset:
    """A photograph that is small on disk and has three bytes a pixel in memory."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((edge, edge, 3), 120, np.uint8)).save(buffer, "JPEG", quality=30)
    return jpeg_to_dicom(
        buffer.getvalue(), identity=lesion_identity(seed), series_instance_uid=f"1.2.3.{seed}", sop_instance_uid=f"1.2.4.{seed}"
    )


def errors_of(database: Database, job: int) -> list[str]:
    return [attempt["error"] for attempt in show_job(database, job)["attempts_made"] if attempt["kind"] == "analysis"]


@pytest.mark.services
def test_a_job_over_the_memory_limit_fails_with_the_reason_and_others_do_not(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = site.factory.photograph(1)
    unlimited = site.start_worker()
    site.until(lambda: site.state(first) == "reported")
    most_kib = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{unlimited.child()}/status").read_text())
    unlimited.kill()
    assert most_kib is not None
    monkeypatch.setenv("DICOM_NODE_WORKER__MEMORY_LIMIT_MIB", str((int(most_kib[1]) >> 10) + 60))
    large, _ = site.factory.queue([_huge(2, 6000)], UnitKind.IMAGE)  # 103 MiB
    others = [site.factory.photograph(seed)[0] for seed in (3, 4)]
    worker = site.start_worker()
    site.until(lambda: site.state(large) == "quarantined" and {site.state(job) for job in others} == {"reported"})
    errors = errors_of(site.database, large)
    assert len(errors) == ATTEMPTS
    for error in errors:
        assert "of memory, and worker.memory_limit_mib allows" in error
    site.until(lambda: [one["state"] for one in show_job(site.database, large)["deliveries"]] == ["pending"])  # the report that says so
    assert show_job(site.database, large)["outcome"] == "not_analysed"
    assert worker.process.poll() is None


@pytest.mark.services
def test_models_over_the_memory_limit_fail_every_job_with_a_report(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE_WORKER__MEMORY_LIMIT_MIB", "100")  # less than torch alone
    job, _ = site.factory.photograph(1)  # the shortest job there is
    worker = site.start_worker()
    site.until(lambda: site.state(job) == "quarantined")
    errors = errors_of(site.database, job)
    assert len(errors) == ATTEMPTS
    assert all("worker.memory_limit_mib allows 100 MiB" in error for error in errors)
    site.until(lambda: [one["state"] for one in show_job(site.database, job)["deliveries"]] == ["pending"])
    assert worker.process.poll() is None  # it goes on serving
    assert "models_exceed_memory_limit" in worker.log_text()


def test_an_attempt_over_the_limit_between_two_measurements_is_not_committed(
    runtime: ChildRuntime, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limit, "INTERVAL_S", 3600.0)
    factory = JobFactory(database, runtime.blobs)
    first, _ = factory.photograph(1)
    assert wake_up.handle_wake_up(runtime) == 1  # the model is loaded: from here on only the job is measured
    large, _ = factory.queue([_huge(2, 6000)], UnitKind.IMAGE)
    ended_processes: list[int] = []
    runtime.memory_limit_mib = device.resident_mib() + 60
    runtime.end_process = lambda: ended_processes.append(1)  # a child would end here
    wake_up.handle_wake_up(runtime)
    assert ended_processes == [1]
    assert errors_of(database, first) == [""]
    (error,) = errors_of(database, large)
    assert "of memory, and worker.memory_limit_mib allows" in error
    assert show_job(database, large)["job_state"] == "queued"
    assert scalar(database, f"SELECT count(*) FROM reports WHERE job_id = {large}") == 0
    assert scalar(database, f"SELECT count(*) FROM findings WHERE job_id = {large}") == 0


def test_no_model_is_loaded_in_a_process_over_the_limit(runtime: ChildRuntime, database: Database) -> None:
    job, _ = JobFactory(database, runtime.blobs).photograph(1)
    runtime.memory_limit_mib = 1
    wake_up.handle_wake_up(runtime)
    assert len(errors_of(database, job)) == 1
    assert runtime.models.by_digest == {}


def test_the_watch_calls_once_and_only_above_the_limit() -> None:
    calls_mib: list[int] = []
    with MemoryWatch(1, calls_mib.append) as watch:
        assert len(calls_mib) == 1
        watch.check()
    assert len(calls_mib) == 1
    assert calls_mib[0] > 1
    with MemoryWatch(1 << 40, calls_mib.append) as watch:
        watch.check()
    assert len(calls_mib) == 1


def test_the_watch_measures_beside_the_work() -> None:
    """Memory of earlier tests may be freed meanwhile: the test allocates until the limit is reached, at most 3,000 MiB."""
    exceeded = threading.Event()
    held = []
    with MemoryWatch(device.resident_mib() + 60, lambda _: exceeded.set()):
        while not exceeded.is_set() and len(held) < 20:
            held.append(np.ones(150 << 20, np.uint8))
            exceeded.wait(10)
    assert exceeded.is_set()


@pytest.fixture
def no_periodic_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is measured only where the test asks for it."""
    monkeypatch.setattr(memory_limit, "INTERVAL_S", 3600.0)


def allocate_and_free() -> None:
    assert np.ones(150 << 20, np.uint8).any()


@pytest.mark.usefixtures("no_periodic_measurement")
@pytest.mark.parametrize("kernel_resets_peak", [True, False])
def test_memory_freed_during_the_attempt_counts_and_memory_freed_before_does_not(
    kernel_resets_peak: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_limit.reset_peak()
    if not kernel_resets_peak:
        monkeypatch.setattr(memory_limit, "_CLEAR_REFS", tmp_path)  # no file
    calls_mib: list[int] = []
    allocate_and_free()
    limit_mib = device.resident_mib() + 60
    with MemoryWatch(limit_mib, calls_mib.append) as watch:
        watch.check()
        assert calls_mib == []
        assert watch.peak_before_mib > limit_mib
        assert watch.most_mib() <= limit_mib
        again = [np.ones(150 << 20, np.uint8) for _ in range(1 if kernel_resets_peak else 2)]
        del again
        watch.check()
        assert watch.most_mib() > limit_mib
    assert len(calls_mib) == 1


@pytest.mark.usefixtures("no_periodic_measurement")
def test_at_the_end_only_memory_still_held_counts() -> None:
    calls_mib: list[int] = []
    limit_mib = device.resident_mib() + 60
    with MemoryWatch(limit_mib, calls_mib.append):
        allocate_and_free()
    assert calls_mib == []
    with MemoryWatch(limit_mib, calls_mib.append):
        held = np.ones(150 << 20, np.uint8)
    assert len(calls_mib) == 1
    assert held.any()


def test_without_a_peak_counter_the_current_memory_is_the_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "status").write_text("VmRSS: 5 kB\n")
    monkeypatch.setattr(memory_limit, "_STATUS", tmp_path / "status")
    allocate_and_free()
    assert abs(memory_limit.peak_mib() - device.resident_mib()) < 20


def test_memory_share_of_a_child(tmp_path: Path) -> None:
    assert memory_of_child(0, 1, 1000) == 900
    assert memory_of_child(0, 4, 1000) == 225
    assert memory_of_child(700, 4, 1000) == 700
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "less").write_text(f"{300 << 20}\n")
    whole = available_mib(())
    assert available_mib((tmp_path / "none", tmp_path / "max")) == whole > 300
    assert available_mib((tmp_path / "less",)) == 300


def test_an_object_over_the_size_limit_is_refused() -> None:
    made = ResultObject(ResultKind.SEG, "seg", "1.2", "1.2.3", "1.2.4", b"x" * 100)
    assert within_limit(made, 100) is made
    with pytest.raises(EncodingError, match=r"100 bytes, and worker\.max_object_bytes allows 99"):
        within_limit(made, 99)


def test_a_report_over_the_size_limit_fails_the_job(settings: Settings, runtime: ChildRuntime, database: Database) -> None:
    runtime.settings = with_worker(settings, max_object_bytes=1 << 10)  # no report is as small
    job, _ = JobFactory(database, runtime.blobs).photograph(1)
    wake_up.handle_wake_up(runtime)
    shown = show_job(database, job)
    assert shown["job_state"] == "failed"
    assert "worker.max_object_bytes allows 1024" in shown["reason"]
