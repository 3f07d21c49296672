"""Attempts of a worker whose blobs are in an S3 server: an outage postpones a job as often as it takes, and does not quarantine it."""

from pathlib import Path

from core.settings.settings import Settings
from db.blobs.open_blobs import open_blobs
from db.engine import Database
from db.jobs.job_admin import show_job
from tests.support.queued_jobs import JobFactory
from tests.support.records import run as execute
from tests.support.seaweed import SeaweedFs
from tests.workers.conftest import child_runtime, report_of, with_worker
from workers.attempt import wake_up


def test_an_outage_of_the_store_postpones_the_job(settings: Settings, database: Database, seaweed: SeaweedFs, tmp_path: Path) -> None:
    settings = with_worker(settings, max_attempts=1)

    def machine(name: str) -> Settings:
        return settings.model_copy(
            update={"store": seaweed.section(url="s3://blobs/worker", timeout_s=5.0, cache_folder=tmp_path / name, cache_bytes=1 << 20)}
        )

    job_id, sha256 = JobFactory(database, open_blobs(machine("listener"))).photograph(1)
    runtime = child_runtime(machine("worker"), database)
    runtime.blobs = open_blobs(runtime.settings)
    seaweed.kill()
    for _ in range(settings.worker.max_attempts + 1):
        execute(database, "UPDATE jobs SET next_attempt_at = node_now()")
        wake_up.handle_wake_up(runtime)
        shown = show_job(database, job_id)
        assert (shown["job_state"], shown["attempts"]) == ("queued", 0)
        assert "reading in S3 bucket blobs failed" in shown["attempts_made"][-1]["error"]
    seaweed.start()
    execute(database, "UPDATE jobs SET next_attempt_at = node_now()")
    assert wake_up.handle_wake_up(runtime) == 1
    assert show_job(database, job_id)["job_state"] == "reported"
    assert runtime.blobs.path(sha256).is_file()
    report_of(runtime, job_id)
