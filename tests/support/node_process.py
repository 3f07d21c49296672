"""A whole node, started as a user would: ``dicom-node up --config node.toml``."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

READY = re.compile(r"ready dicom=(?P<ae>[^@]+)@(?P<host>[^:]+):(?P<port>\d+) console=(?P<console>\S+)")


class RunningNode:
    """One ``dicom-node up`` process and the command line beside it."""

    def __init__(self, config: Path, environ: Mapping[str, str] | None = None) -> None:
        self.config = config
        self._environ = {**os.environ, **(environ or {})}
        self.ae, self.host, self.port, self.console = "", "", 0, ""
        self._process: subprocess.Popen[str] | None = None
        self.errors: list[str] = []

    def start(self, timeout_s: float = 240.0) -> "RunningNode":
        """Start and wait for the ready line on standard output."""
        command = [sys.executable, "-m", "deploy.cli", "up", "--config", str(self.config)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._environ, start_new_session=True
        )
        self._process = process
        assert process.stdout is not None
        threading.Thread(target=self._drain, args=(process,), daemon=True).start()
        line = ""
        timer = threading.Timer(timeout_s, process.kill)
        timer.start()
        try:
            line = process.stdout.readline()
        finally:
            timer.cancel()
        found = READY.fullmatch(line.strip())
        if found is None:
            process.kill()
            raise AssertionError(f"no ready line but {line!r}; standard error ends:\n" + "".join(self.errors[-40:]))
        self.ae, self.host, self.port, self.console = found["ae"], found["host"], int(found["port"]), found["console"]
        return self

    def _drain(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.errors.append(line)
        process.stderr.close()

    def stop(self, timeout_s: float = 45.0) -> tuple[int, float]:
        """SIGTERM; exit status and the seconds it took."""
        assert self._process is not None
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(timeout_s)
        finally:
            self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status, time.monotonic() - begun

    def processes(self) -> list[psutil.Process]:
        """Every process below ``up``, roles and embedded servers, however deep."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def kill_gently(self) -> None:
        """The end of a test: stopped if it still runs, then killed."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        self.kill()

    def kill(self) -> None:
        """No survivors: the whole session of processes."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def cli(self, *arguments: str, expect: int = 0) -> str:
        """Standard output of ``dicom-node ARGUMENTS --config ...``; the exit status must be ``expect``."""
        command = [sys.executable, "-m", "deploy.cli", *arguments, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environ, timeout=120)
        assert done.returncode == expect, f"{arguments} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        return done.stdout

    def said(self, *arguments: str) -> str:
        """Everything that ``dicom-node ARGUMENTS --config ...`` writes, whatever its exit status."""
        command = [sys.executable, "-m", "deploy.cli", *arguments, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environ, timeout=120)
        return done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self.cli(*arguments))

    def export(self) -> list[dict[str, Any]]:
        """``results export``: one dict per finding."""
        return list(self.json("results", "export", "--format", "json"))


def wait_until(what: str, check: Any, timeout_s: float = 120.0, every_s: float = 0.5) -> Any:
    """The first truthy answer of ``check()``; fails saying what was waited for and the last answer."""
    deadline = time.monotonic() + timeout_s
    answer = check()
    while not answer and time.monotonic() < deadline:
        time.sleep(every_s)
        answer = check()
    assert answer, f"waited {timeout_s:g} s for {what}; the last answer was {answer!r}"
    return answer
