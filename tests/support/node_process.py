"""A whole node in a process of its own, started as a user starts it: ``dicom-node up --config node.toml``."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from deploy.cli.main import run
from tests.support.polling import pause

READY = re.compile(r"ready dicom=(?P<ae>[^@]+)@(?P<host>[^:]+):(?P<port>\d+) console=(?P<console>\S+)")


class RunningNode:
    """One ``dicom-node up`` process, and the command line with its configuration."""

    def __init__(self, config: Path, environ: Mapping[str, str] | None = None) -> None:
        self.config = config
        self._environ = {**os.environ, **(environ or {})}
        self.ae, self.host, self.port, self.console = "", "", 0, ""
        self.process: subprocess.Popen[str] | None = None
        self.errors: list[str] = []

    def start(self, timeout_s: float = 1200.0) -> "RunningNode":
        """Start the node and wait for the ready line on standard output."""
        process = subprocess.Popen(
            self.command("up"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._environ, start_new_session=True
        )
        self.process = process
        assert process.stdout is not None
        threading.Thread(target=self._read_errors, args=(process,), daemon=True).start()
        timer = threading.Timer(timeout_s, process.kill)
        timer.start()
        try:
            line = process.stdout.readline()
        finally:
            timer.cancel()
        found = READY.fullmatch(line.strip())
        if found is None:
            process.kill()
            process.wait()
            process.stdout.close()
            raise AssertionError(f"no ready line but {line!r}; standard error ends:\n" + "".join(self.errors[-40:]))
        self.ae, self.host, self.port, self.console = found["ae"], found["host"], int(found["port"]), found["console"]
        return self

    def command(self, role: str) -> list[str]:
        """Return the command line of ``dicom-node ROLE``."""
        return [sys.executable, "-m", "deploy.cli", role, "--config", str(self.config)]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port at which senders reach it."""
        return self.host, self.port

    def stop(self, timeout_s: float = 300.0) -> int:
        """Send SIGTERM; return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout_s)
        finally:
            self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def descendants(self) -> list[psutil.Process]:
        """Return every process below ``up``: roles, their children, embedded servers."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop_or_kill(self) -> None:
        """End the node at the end of a test: stop it if it still runs, then kill it."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.kill()

    def kill(self) -> None:
        """Kill every process of the node's session."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(600)

    def cli(self, *arguments: str, expect: int = 0) -> str:
        """Return the standard output of ``dicom-node ARGUMENTS --config ...``, whose exit status must be ``expect``."""
        status, out, errors = self._run_command(arguments)
        assert status == expect, f"{arguments} ended with {status}:\n{errors[-3000:]}"
        return out

    def all_output(self, *arguments: str) -> str:
        """Return everything that ``dicom-node ARGUMENTS --config ...`` prints, whatever its exit status."""
        _, out, errors = self._run_command(arguments)
        return out + errors

    def json(self, *arguments: str) -> Any:
        """Return the JSON document that a command prints."""
        return json.loads(self.cli(*arguments))

    def export(self) -> list[dict[str, Any]]:
        """Return the rows of ``results export``: one per finding."""
        return list(self.json("results", "export", "--format", "json"))

    def _run_command(self, arguments: tuple[str, ...]) -> tuple[int, str, str]:
        """Run a command in this process: a process of its own takes seconds to import everything.

        Not for several threads at once: environment and standard output are those of the whole process.
        """
        out, errors = io.StringIO(), io.StringIO()
        with _environment(self._environ), contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = run([*arguments, "--config", str(self.config)])
        return status, out.getvalue(), errors.getvalue()

    def _read_errors(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.errors.append(line)
        process.stderr.close()


@contextlib.contextmanager
def _environment(environ: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def wait_until(what: str, check: Any, timeout_s: float = 600.0, every_s: float = 0.5) -> Any:
    """Return the first true result of ``check()``; fail with ``what`` and the last result when there is none in time."""
    began = time.monotonic()
    deadline = began + timeout_s
    result = check()
    while not result and time.monotonic() < deadline:
        pause(began, every_s)
        began = time.monotonic()
        result = check()
    assert result, f"waited {timeout_s:g} s for {what}; the last result was {result!r}"
    return result
