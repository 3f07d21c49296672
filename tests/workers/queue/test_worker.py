"""Real worker processes on a real broker: every job is reported once, whichever process is killed and whatever the broker loses."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from core.errors import ConfigurationError
from db.engine import Database
from db.jobs.job_admin import show_job
from db.roles import heartbeats
from deploy.local.embedded.broker import EmbeddedBroker
from deploy.settings_file import load_settings
from tests.support.queued_jobs import configure, unblock_reader
from tests.support.records import scalar
from tests.workers.queue.site import TIMEOUT_S, Site, WorkerProcess
from workers.queue import relay
from workers.queue.celery_app import make_app
from workers.queue.queue_names import QUEUES, ROUTINE, TASK
from workers.queue.tasks import ROUTINE_NICENESS
from workers.queue.worker import run_worker

pytestmark = pytest.mark.timeout(3 * TIMEOUT_S)


@pytest.fixture
def site(tmp_path: Path, database: Database, database_url: str, broker_url: str) -> Iterator[Site]:
    # The lease outlasts the test: a job returns to the queue because the next child ends the lease of a dead one.
    settings = configure(tmp_path, database_url, broker_url, lease_s=600.0, soft_s=600.0, hard_s=900.0)
    made = Site(tmp_path, database, database_url, broker_url, settings)
    yield made
    made.close()


def wait_for_niceness(site: Site, worker: WorkerProcess, added: int) -> None:
    """Wait until the worker's child has the test's niceness plus ``added``; the parent keeps that of the test."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    site.until(lambda: os.getpriority(os.PRIO_PROCESS, worker.child()) == own + added)
    assert os.getpriority(os.PRIO_PROCESS, worker.process.pid) == own


@pytest.mark.services
def test_lost_and_repeated_messages_do_no_harm(site: Site, broker_url: str) -> None:
    first, _ = site.factory.photograph(1)
    site.until(lambda: scalar(site.database, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0)
    app = make_app(site.settings)
    assert [relay.count_messages(app, queue) for queue in QUEUES] == [0, 1]
    with redis.Redis.from_url(broker_url) as client:
        client.flushall()  # the wake-up is lost, the job is not
    worker = site.start_worker(as_program=True)
    site.until(lambda: site.state(first) == "reported")

    for _ in range(20):
        app.send_task(TASK, args=[first], queue="infer.routine")
    second, _ = site.factory.photograph(2)
    site.until(lambda: site.state(second) == "reported")
    app.close()
    assert [site.attempts(job_id) for job_id in (first, second)] == [["reported"], ["reported"]]
    assert [site.reports(job_id) for job_id in (first, second)] == [1, 1]
    wait_for_niceness(site, worker, 0)

    (beat,) = [beat for beat in heartbeats.alive_processes(site.database, TIMEOUT_S) if beat.role == "worker"]
    assert beat.details["models"] == "dermoscopy_7class"
    assert worker.stop() == 0
    assert "parent: []" in worker.log_text()
    assert not [beat for beat in heartbeats.alive_processes(site.database, TIMEOUT_S) if beat.role == "worker"]
    site.until(lambda: scalar(site.database, "SELECT count(*) FROM audit_events WHERE chain_seq IS NULL") == 0)


@pytest.mark.services
def test_the_job_of_a_killed_worker_is_reported_once_by_another_attempt(site: Site) -> None:
    job_id, sha256 = site.factory.photograph(1)
    restore = site.replace_by_fifo(sha256)  # the first attempt blocks here, in the middle of its work
    worker = site.start_worker()
    site.until(lambda: site.state(job_id) == "running")
    child = worker.child()
    worker.kill()
    site.until(lambda: not Path(f"/proc/{child}").exists())  # the child dies with its parent
    restore()
    site.start_worker()
    site.until(lambda: site.state(job_id) == "reported")
    assert site.attempts(job_id) == ["lost", "reported"]
    assert site.reports(job_id) == 1


@pytest.mark.services
def test_jobs_of_killed_children_are_reported_once_or_as_not_analysed(site: Site) -> None:
    """The child is killed once in the first job, and in every attempt of the second."""
    first, sha256 = site.factory.photograph(1)
    restore = site.replace_by_fifo(sha256)
    worker = site.start_worker()
    site.until(lambda: site.state(first) == "running")
    os.kill(worker.child(), signal.SIGKILL)
    restore()
    site.until(lambda: site.state(first) == "reported")
    assert site.attempts(first) == ["lost", "reported"]
    assert site.reports(first) == 1

    second, sha256 = site.factory.photograph(2)
    site.replace_by_fifo(sha256)
    for number in range(1, site.settings.worker.max_attempts + 2):  # the last attempt is the first one to report why
        site.until(lambda number=number: site.state(second) == "running" and len(site.attempts(second)) == number)  # type: ignore[misc]
        os.kill(worker.child(), signal.SIGKILL)
    site.until(lambda: site.reports(second) == 1)
    shown = show_job(site.database, second)
    assert (shown["job_state"], shown["outcome"]) == ("quarantined", "not_analysed")
    kinds = [(row["kind"], row["result"]) for row in shown["attempts_made"]]
    assert kinds == [("analysis", "lost")] * 3 + [("explanation", "lost"), ("explanation", "reported")]
    assert [row["destination"] for row in shown["deliveries"]] == ["pacs"]


@pytest.mark.services
def test_a_worker_reads_messages_again_after_the_broker_was_down_at_the_end_of_a_task(
    tmp_path: Path, database: Database, database_url: str, services_dir: Path
) -> None:
    folder = services_dir / "restarted-broker"
    broker = EmbeddedBroker(folder)
    url = broker.start()
    site = Site(tmp_path, database, database_url, url, configure(tmp_path, database_url, url, soft_s=600.0, hard_s=900.0))
    try:
        job_id, sha256 = site.factory.photograph(1)
        restore = site.replace_by_fifo(sha256)  # the task blocks here
        worker = site.start_worker()
        site.until(lambda: site.state(job_id) == "running")
        broker.stop()
        unblock_reader(site.factory.blobs.path(sha256))
        site.until(lambda: site.attempts(job_id) == ["failed"])
        restore()
        site.until(lambda: "Couldn't ack" in worker.log_text())
        broker = EmbeddedBroker(folder, port=int(url.rsplit(":", 1)[1].split("/")[0]))
        broker.start()
        site.until(lambda: site.state(job_id) == "reported")
        assert worker.process.poll() is None
    finally:
        site.close()
        broker.stop()


@pytest.mark.services
def test_a_child_that_cannot_start_is_replaced(site: Site) -> None:
    folder = site.settings.blobs_dir
    aside = folder.rename(folder.with_name("aside"))
    folder.write_text("no folder")  # as when the volume is not mounted yet
    worker = site.start_worker(ROUTINE)
    site.until(lambda: "child_start_failed" in worker.log_text())
    assert not [beat for beat in heartbeats.alive_processes(site.database, TIMEOUT_S) if beat.role == "worker"], "it is not ready"
    folder.unlink()
    aside.rename(folder)
    job_id, _ = site.factory.photograph(1)
    site.until(lambda: site.state(job_id) == "reported")
    assert site.attempts(job_id) == ["reported"]
    wait_for_niceness(site, worker, ROUTINE_NICENESS)  # it serves no urgent jobs


@pytest.mark.parametrize(
    ("environ", "queues", "expected"),
    [
        ({}, ["infer.night"], r"infer\.night"),
        ({}, [], "none"),
        ({}, None, "database"),
        ({"DICOM_NODE_BROKER__URL": "", "DICOM_NODE_DATABASE__URL": "postgresql://localhost/x"}, None, "broker"),
    ],
)
def test_wrong_settings_are_refused_at_the_start(environ: dict[str, str], queues: list[str] | None, expected: str) -> None:
    settings = load_settings(None, {"DICOM_NODE_BROKER__URL": "redis://127.0.0.1:1/0", **environ})
    with pytest.raises(ConfigurationError, match=expected):
        run_worker(settings, queues)
