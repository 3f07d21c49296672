"""Real worker processes on a real broker: what is queued is done once, whoever is killed and whatever the broker forgets."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs import job_leases
from db.roles import heartbeats
from deploy.local.embedded_broker import EmbeddedBroker
from tests.support.queued_jobs import JobFactory, configure, server_url_variables, unblock_reader
from tests.support.records import scalar
from workers.queue import relay
from workers.queue.celery_app import make_app
from workers.queue.queue_names import QUEUES, ROUTINE, TASK
from workers.queue.tasks import ROUTINE_NICENESS

ROOT = Path(__file__).parents[3]
# The parent says at its end which heavy packages it has imported: torch must not be among them.
WORKER = """
import sys
from pathlib import Path
from core.logs import configure_logging
from deploy.settings_file import load_settings
from workers.queue.worker import run_worker
configure_logging(style="console", role="worker")
status = run_worker(load_settings(Path(sys.argv[1])), sys.argv[2:] or None)
print("parent:", sorted({"torch", "monai", "models.runtime", "sqlalchemy"} & set(sys.modules)), flush=True)
sys.exit(status)
"""


class Worker:
    """A worker process with one child."""

    def __init__(self, folder: Path, database_url: str, broker_url: str, *queues: str) -> None:
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        environ = {**os.environ, **server_url_variables(database_url, broker_url), "PYTHONPATH": str(ROOT)}
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(folder / "node.toml"), *queues],
                stdout=stream,
                stderr=stream,
                env=environ,
                start_new_session=True,
            )

    def child(self) -> int:
        """The pool's child: the one that works."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return self.log.read_text()


class Site:
    """Database, broker, relay, and as many workers as a test starts."""

    def __init__(self, folder: Path, database: Database, database_url: str, broker_url: str, settings: Settings) -> None:
        self.folder, self.database, self.settings = folder, database, settings
        self._urls = (database_url, broker_url)
        self.queueing = JobFactory(database, Blobs(settings.blobs_dir))
        self.workers: list[Worker] = []
        self.stop = threading.Event()
        self._relay = threading.Thread(target=relay.run, args=(settings, database, self.stop))
        self._relay.start()

    def worker(self, *queues: str) -> Worker:
        self.workers.append(Worker(self.folder, *self._urls, *queues))
        return self.workers[-1]

    def close(self) -> None:
        self.stop.set()
        self._relay.join(20)
        for worker in self.workers:
            worker.kill()
        assert not self._relay.is_alive()

    def state(self, job_id: int) -> str:
        return str(job_leases.show(self.database, job_id)["job_state"])

    def attempts(self, job_id: int) -> list[str]:
        return [row["result"] for row in job_leases.show(self.database, job_id)["attempts_made"]]

    def until(self, true: Callable[[], bool], timeout_s: float = 600.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > deadline:
                pytest.fail("timed out\n" + "\n".join(f"{worker.process.poll()} {worker.said()[-3000:]}" for worker in self.workers))
            time.sleep(0.05)


@pytest.fixture
def site(tmp_path: Path, database: Database, database_url: str, broker_url: str) -> Iterator[Site]:
    settings = configure(tmp_path, database_url, broker_url, lease_s=600.0)  # nobody waits for a lease: who follows a dead child ends it
    made = Site(tmp_path, database, database_url, broker_url, settings)
    yield made
    made.close()


def reports(database: Database, job_id: int) -> object:
    return scalar(database, f"SELECT count(*) FROM reports WHERE job_id = {job_id}")


@pytest.mark.services
def test_emptied_broker_and_doubled_messages_change_nothing(site: Site, broker_url: str) -> None:
    first, _ = site.queueing.photograph(1)
    site.until(lambda: scalar(site.database, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0)
    app = make_app(site.settings)
    assert [relay.waiting(app, queue) for queue in QUEUES] == [0, 1]
    with redis.Redis.from_url(broker_url) as client:
        client.flushall()  # the wake-up is gone; the job is not
    worker = site.worker()
    site.until(lambda: site.state(first) == "reported")

    for _ in range(20):
        app.send_task(TASK, args=[first], queue="infer.routine")
    second, _ = site.queueing.photograph(2)
    site.until(lambda: site.state(second) == "reported")
    app.close()
    assert [site.attempts(job_id) for job_id in (first, second)] == [["reported"], ["reported"]]
    assert [reports(site.database, job_id) for job_id in (first, second)] == [1, 1]

    (beat,) = [beat for beat in heartbeats.alive(site.database, 10) if beat.role == "worker"]
    assert beat.details["models"] == "dermoscopy_7class"
    assert worker.stop() == 0
    assert "parent: []" in worker.said()
    assert not [beat for beat in heartbeats.alive(site.database, 60) if beat.role == "worker"]
    assert scalar(site.database, "SELECT count(*) FROM audit_events WHERE chain_seq IS NULL") == 0


@pytest.mark.services
@pytest.mark.parametrize("victim", ["child", "parent"])
def test_killed_worker_s_job_is_done_by_another_attempt_exactly_once(site: Site, victim: str) -> None:
    job_id, sha256 = site.queueing.photograph(1)
    path = site.queueing.blobs.path(sha256)
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)  # the first attempt waits here for ever, in the middle of its work
    worker = site.worker()
    site.until(lambda: site.state(job_id) == "running")
    child = worker.child()
    if victim == "child":
        os.kill(child, signal.SIGKILL)
    else:
        worker.kill()
        site.until(lambda: not Path(f"/proc/{child}").exists(), 10.0)  # no child computes on for nobody
    path.unlink()
    path.write_bytes(content)
    if victim == "parent":
        site.worker()
    site.until(lambda: site.state(job_id) == "reported")
    assert site.attempts(job_id) == ["lost", "reported"]
    assert reports(site.database, job_id) == 1


@pytest.mark.services
def test_a_broker_that_is_away_when_a_task_ends_does_not_make_the_worker_deaf(
    tmp_path: Path, database: Database, database_url: str, services_dir: Path
) -> None:
    folder = services_dir / "away-broker"
    broker = EmbeddedBroker(folder)
    url = broker.start()
    site = Site(tmp_path, database, database_url, url, configure(tmp_path, database_url, url))
    try:
        job_id, sha256 = site.queueing.photograph(1)
        path = site.queueing.blobs.path(sha256)
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)  # the task waits here
        worker = site.worker()
        site.until(lambda: site.state(job_id) == "running")
        broker.stop()
        unblock_reader(path)
        site.until(lambda: site.attempts(job_id) == ["failed"])
        path.unlink()
        path.write_bytes(content)
        site.until(lambda: "Couldn't ack" in worker.said())
        broker = EmbeddedBroker(folder, port=int(url.rsplit(":", 1)[1].split("/")[0]))
        broker.start()
        site.until(lambda: site.state(job_id) == "reported")
        assert worker.process.poll() is None
    finally:
        site.close()
        broker.stop()


@pytest.mark.services
def test_a_child_that_cannot_start_is_followed_by_one_that_can(site: Site) -> None:
    folder = site.settings.blobs_dir
    aside = folder.rename(folder.with_name("aside"))
    folder.write_text("no folder")  # as when the volume is not mounted yet
    worker = site.worker()
    site.until(lambda: "child_start_failed" in worker.said())
    assert not [beat for beat in heartbeats.alive(site.database, 60) if beat.role == "worker"], "it is not ready, and says so"
    folder.unlink()
    aside.rename(folder)
    job_id, _ = site.queueing.photograph(1)
    site.until(lambda: site.state(job_id) == "reported")
    assert site.attempts(job_id) == ["reported"]


@pytest.mark.services
def test_job_that_kills_every_worker_ends_with_a_report_that_says_so(site: Site) -> None:
    job_id, sha256 = site.queueing.photograph(1)
    path = site.queueing.blobs.path(sha256)
    path.unlink()
    os.mkfifo(path)  # whoever reads it waits, until it is killed
    worker = site.worker()
    for number in range(1, site.settings.worker.max_attempts + 2):  # the last one is the attempt to say why
        site.until(lambda number=number: site.state(job_id) == "running" and len(site.attempts(job_id)) == number)  # type: ignore[misc]
        os.kill(worker.child(), signal.SIGKILL)
    site.until(lambda: reports(site.database, job_id) == 1)
    shown = job_leases.show(site.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("quarantined", "not_analysed")
    kinds = [(row["kind"], row["result"]) for row in shown["attempts_made"]]
    assert kinds == [("analysis", "lost")] * 3 + [("explanation", "lost"), ("explanation", "reported")]
    assert [row["destination"] for row in shown["deliveries"]] == ["pacs"]


@pytest.mark.services
def test_relay_waits_for_broker_and_goes_on(tmp_path: Path, database: Database, database_url: str, services_dir: Path) -> None:
    broker = EmbeddedBroker(services_dir / "late-broker")
    url = broker.start()
    broker.stop()
    settings = configure(tmp_path, database_url, url)
    queueing = JobFactory(database, Blobs(settings.blobs_dir))
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(settings, database, stop))
    thread.start()
    try:
        queueing.photograph(1)
        time.sleep(1.5)
        assert thread.is_alive()
        assert scalar(database, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 1
        again = EmbeddedBroker(services_dir / "late-broker", port=int(url.rsplit(":", 1)[1].split("/")[0]))
        again.start()
        try:
            deadline = time.monotonic() + 20
            while scalar(database, "SELECT count(*) FROM outbox WHERE published_at IS NULL"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            with redis.Redis.from_url(url) as client:
                assert client.llen("infer.routine") >= 1
        finally:
            stop.set()
            thread.join(20)
            again.stop()
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


@pytest.mark.services
def test_a_child_that_takes_no_urgent_work_leaves_the_processor_to_those_who_do(site: Site) -> None:
    here = os.getpriority(os.PRIO_PROCESS, 0)
    for worker, gives_way in [(site.worker(ROUTINE), ROUTINE_NICENESS), (site.worker(), 0)]:
        site.until(lambda worker=worker: "child ready" in worker.said())  # type: ignore[misc]
        site.until(lambda worker=worker, nice=here + gives_way: os.getpriority(os.PRIO_PROCESS, worker.child()) == nice, 5)  # type: ignore[misc]
        assert os.getpriority(os.PRIO_PROCESS, worker.process.pid) == here
