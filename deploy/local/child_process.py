"""One role as a child process: started, watched, restarted with backoff, drained."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

BACKOFF_S, BACKOFF_CAP_S = 0.5, 30.0
STEADY_S = 20.0  # a role that lived so long had started and worked: what ended it came from outside, and it is back at once

log = structlog.get_logger()


def end_with_parent() -> list[str]:
    """Command prefix: the program gets SIGTERM when we die, even when we are killed (Linux, where util-linux is installed)."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


@dataclass(slots=True)
class Child:
    """``arguments`` go to ``dicom-node``; ``log_file`` None: standard error of this process.

    It runs in a session of its own, so that Ctrl-C reaches only `up`, which then drains in order; and it gets SIGTERM
    when `up` dies.
    """

    role: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log_file: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    failures: int = 0
    due_at: float = 0.0
    last_status: int | None = field(default=None)

    def start(self) -> None:
        command = [*end_with_parent(), sys.executable, "-m", "deploy.cli", *self.arguments]
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        environment = {**os.environ, **self.environment, "PYTHONPATH": path}
        if self.log_file is None:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
        else:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            with self.log_file.open("ab") as stream:
                self.process = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
                )
        self.started_at = time.monotonic()
        log.info("started", name=self.role, pid=self.process.pid)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tend(self) -> None:
        """Start it again where it has died and its pause is over; the pause doubles while it keeps dying early."""
        if self.alive:
            return
        now = time.monotonic()
        if self.process is not None:
            steady = now - self.started_at > STEADY_S
            self.failures = 1 if steady else self.failures + 1
            pause = min(BACKOFF_S * 2 ** (self.failures - 1), BACKOFF_CAP_S)
            self.last_status, self.due_at, self.process = self.process.returncode, now + pause, None
            log.error("a role ended by itself and is started again", name=self.role, status=self.last_status, seconds=round(pause, 1))
        if now >= self.due_at:
            self.start()

    def terminate(self) -> None:
        if self.alive and self.process is not None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """It and everything that it has started."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("already gone", name=self.role)
        self.process.wait()
