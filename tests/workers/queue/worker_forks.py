"""Worker processes as forks of a process that has imported everything they need: a start costs 0.3 s of processor time, not 8 s.

Run as a program, this module is that process: it reads one request a line from standard input, forks, and answers with the process id. It
has a single thread, uses no GPU and computes nothing, so a fork of it is safe. `WorkerFork` is the other side.
"""

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
MODEL = "dermoscopy_7class"
PR_SET_PDEATHSIG = 1  # prctl(2)


class WorkerFork:
    """A worker process, with the methods of `subprocess.Popen` that the tests use. Its exit status is not known here."""

    def __init__(self, config: Path, queues: tuple[str, ...], environ: Mapping[str, str], log: Path) -> None:
        server = _fork_server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps([str(config), queues, dict(environ), str(log)]) + "\n")
        server.stdin.flush()
        self.pid = int(server.stdout.readline())

    def poll(self) -> int | None:
        """Return None while the process runs, then 0."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self, timeout_s: float = 600.0) -> int:
        """Wait until the process has ended."""
        deadline = time.monotonic() + timeout_s
        while self.poll() is None:
            assert time.monotonic() < deadline, f"the worker {self.pid} has not ended"
            time.sleep(0.02)
        return 0

    def kill(self) -> None:
        """Send SIGKILL, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


@cache
def _fork_server() -> "subprocess.Popen[str]":
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.workers.queue.worker_forks"]
    server = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)  # its standard input ends, and so does it
    return server


def serve() -> None:
    """Import what a worker and its children need, load the model, and fork a worker for each request until standard input ends."""
    import workers.attempt.wake_up  # noqa: F401
    from core.states import ResultKind
    from models import registry, runtime
    from workers.encode.warm_up import warm_up_encoders
    from workers.queue import worker  # noqa: F401

    warm_up_encoders(ResultKind)
    load = runtime.load_folder
    packaged = registry.folder(MODEL)
    loaded = load(packaged, device="cpu", package=packaged.name)

    def load_folder(folder: Path, *, device: str = "auto", package: str) -> Any:
        return loaded if folder == packaged else load(folder, device=device, package=package)

    runtime.load_folder = load_folder
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets workers that end
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _run_worker(*json.loads(line))
        print(pid, flush=True)


def _run_worker(config: str, queues: list[str], environ: dict[str, str], log: str) -> None:
    status = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # it ends with the tests
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        os.environ.clear()
        os.environ.update(environ)
        from core.logs import configure_logging
        from deploy.settings_file import load_settings
        from workers.queue.worker import run_worker

        configure_logging(style="console", role="worker")
        status = run_worker(load_settings(Path(config)), queues or None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
