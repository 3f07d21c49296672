"""A node's queue for tests: database, broker, relay, and real worker processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs.job_admin import show_job
from tests.support.polling import pause
from tests.support.queued_jobs import JobFactory, server_url_variables
from tests.support.records import scalar
from tests.workers.queue.worker_forks import WorkerFork
from workers.queue import relay

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 600.0  # only ends a test that hangs: a worker's start takes minutes on a busy machine
# When it ends, the parent process prints which heavy packages it has imported: torch must not be among them.
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


class WorkerProcess:
    """A worker process with one child.

    ``as_program``: it imports what it needs itself and can be stopped in order; else it is a fork of a process that has done so.
    """

    def __init__(self, folder: Path, database_url: str, broker_url: str, *queues: str, as_program: bool) -> None:
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        self.log.touch()
        environ = {**os.environ, **server_url_variables(database_url, broker_url), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process: subprocess.Popen[bytes] | WorkerFork
        if as_program:
            command = [sys.executable, "-c", WORKER, str(folder / "node.toml"), *queues]
            with self.log.open("ab") as stream:
                self.process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environ, start_new_session=True)
        else:
            self.process = WorkerFork(folder / "node.toml", queues, environ, self.log)

    def child(self) -> int:
        """Process id of the pool's child, which carries out the jobs."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def stop(self) -> int:
        """Stop the worker, a program, in order and return its exit status."""
        assert isinstance(self.process, subprocess.Popen)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)

    def kill(self) -> None:
        """Kill the parent process."""
        self.process.kill()
        self.process.wait()

    def log_text(self) -> str:
        """What the worker has logged so far."""
        return self.log.read_text()


class Site:
    """Database, broker, relay, and as many workers as a test starts."""

    def __init__(self, folder: Path, database: Database, database_url: str, broker_url: str, settings: Settings) -> None:
        self.folder, self.database, self.settings = folder, database, settings
        self._urls = (database_url, broker_url)
        self.factory = JobFactory(database, Blobs(settings.blobs_dir))
        self.workers: list[WorkerProcess] = []
        self._stop = threading.Event()
        self._relay = threading.Thread(target=relay.run, args=(settings, database, self._stop))
        self._relay.start()

    def start_worker(self, *queues: str, as_program: bool = False) -> WorkerProcess:
        """Start a worker on ``queues`` (default: all)."""
        self.workers.append(WorkerProcess(self.folder, *self._urls, *queues, as_program=as_program))
        return self.workers[-1]

    def close(self) -> None:
        """Stop the relay and kill the workers."""
        self._stop.set()
        self._relay.join(TIMEOUT_S)
        for worker in self.workers:
            worker.kill()
        assert not self._relay.is_alive()

    def state(self, job_id: int) -> str:
        """The state of a job."""
        return str(scalar(self.database, f"SELECT state FROM jobs WHERE id = {job_id}"))

    def attempts(self, job_id: int) -> list[str]:
        """The results of a job's attempts."""
        return [row["result"] for row in show_job(self.database, job_id)["attempts_made"]]

    def reports(self, job_id: int) -> object:
        """How many reports a job has."""
        return scalar(self.database, f"SELECT count(*) FROM reports WHERE job_id = {job_id}")

    def replace_by_fifo(self, sha256: str) -> Callable[[], None]:
        """Let reading a blob block until its reader is killed; the function that is returned restores the blob."""
        path = self.factory.blobs.path(sha256)
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)

        def restore() -> None:
            path.unlink()
            path.write_bytes(content)

        return restore

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; fail with the workers' logs if it does not come true."""
        began = time.monotonic()
        deadline = began + TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail("timed out\n" + "\n".join(f"{worker.process.poll()} {worker.log_text()[-3000:]}" for worker in self.workers))
            pause(began, 0.1)
            began = time.monotonic()
