"""One role as a child process of ``up``: started, watched, started again after growing pauses, stopped."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from deploy.local.forked_process import ROLE_MODULES, ForkedProcess, fork_is_safe, fork_role
from deploy.local.private_files import make_private_folder, open_log_file

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
MOST_DOUBLINGS = 10  # more than the longest pause needs; without a limit the number is too large after some hours
# A role that has run longer than this had started correctly: it is started again after the first pause.
STABLE_AFTER_S = 20.0

log = structlog.get_logger()


def end_with_parent(signal_name: str = "TERM") -> list[str]:
    """Return the command prefix that makes a program get a signal when this process ends, even by SIGKILL.

    Works on Linux where util-linux is installed. The kernel watches the *thread* that starts the program, so the
    prefix is empty outside of the main thread.
    """
    if shutil.which("setpriv") and threading.current_thread() is threading.main_thread():
        return ["setpriv", "--pdeathsig", signal_name]
    return []


@dataclass(slots=True)
class SupervisedRole:
    """The process of one role.

    It runs in a session of its own, so that Ctrl-C reaches only ``up``, which then stops the roles in order.

    Attributes
    ----------
    arguments
        Of ``dicom-node``.
    environment
        Variables added to those of this process.
    log_file
        Gets its output; None: standard error of this process.
    last_status
        Exit status of the last process that ended by itself.
    failures
        How many processes in a row have ended soon after their start.
    """

    role: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log_file: Path | None = None
    process: "subprocess.Popen[bytes] | ForkedProcess | None" = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float = 0.0
    restart_requested: bool = False
    last_status: int | None = field(default=None)

    def start(self) -> None:
        """Start the process: as a fork of this process where that is safe, else as a program."""
        if self.role in ROLE_MODULES and fork_is_safe():
            self.process = fork_role(self.arguments, self.environment, self.log_file)
        else:
            self.process = self._start_program()
        self.started_at = time.monotonic()
        log.info("role_started", name=self.role, pid=self.process.pid)

    def _start_program(self) -> "subprocess.Popen[bytes]":
        command = [*end_with_parent(), sys.executable, "-m", "deploy.cli", *self.arguments]
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        environment = {**os.environ, **self.environment, "PYTHONPATH": path}
        if self.log_file is None:
            return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
        make_private_folder(self.log_file.parent)
        with open_log_file(self.log_file) as stream:
            return subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def ended(self) -> bool:
        """Whether a process has ended since the last call of `restart_if_ended`."""
        return self.process is not None and not self.alive

    def restart_if_ended(self) -> None:
        """Start the process again if it has ended and its pause is over. The pause doubles while it keeps ending early."""
        if self.alive:
            return
        now = time.monotonic()
        if self.restart_requested:
            self.process, self.restart_requested = None, False
            log.info("role_restarts", name=self.role, reason="its settings have changed")
        if self.process is not None:
            stable = now - self.started_at > STABLE_AFTER_S
            self.failures = 1 if stable else self.failures + 1
            pause = min(FIRST_PAUSE_S * 2 ** min(self.failures - 1, MOST_DOUBLINGS), LONGEST_PAUSE_S)
            self.last_status, self.restart_at, self.process = self.process.returncode, now + pause, None
            log.error("role_ended_and_restarts", name=self.role, status=self.last_status, pause_s=round(pause, 1))
        if now >= self.restart_at:
            self.start()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Send a signal, if the process runs."""
        if self.alive and self.process is not None:
            self.process.send_signal(number)

    def restart_in_order(self) -> None:
        """Let the process finish its work and end; `restart_if_ended` starts it again without a pause."""
        self.restart_requested = True
        self.terminate()

    def kill(self) -> None:
        """Send SIGKILL to the process and to everything that it has started."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has ended, or was forked just now and has no session of its own yet
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
