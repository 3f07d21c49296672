"""The node of the demo: ``dicom-node up`` in a process of its own, as a user starts it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from core.errors import StorageError
from deploy.demo import node_config
from deploy.demo.pacs.interface import Pacs
from deploy.demo.progress import DemoProgress
from deploy.local.child_process import end_with_parent
from deploy.local.ports import free_port
from deploy.settings_file import load_settings

READY_TIMEOUT_S = 600.0  # `up` gives up earlier, and its reason is shown
STOP_TIMEOUT_S = 40.0


class DemoNode:
    """``dicom-node up`` on free ports, without the settings of another node in its environment."""

    def __init__(self, progress: DemoProgress, pacs: Pacs) -> None:
        self.progress = progress
        self.port = free_port()
        self.path = node_config.write_config(progress.folder, node_config.node_toml(self.port, free_port(), pacs))
        self.settings = load_settings(self.path, {})
        self.logs = self.settings.node.data_dir / "logs"
        self._log = progress.folder / "up.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the node and wait for its line ``ready ...``.

        Raises
        ------
        StorageError
            It ended before that, or was not ready in time.
        """
        command = [*end_with_parent(), sys.executable, "-m", "deploy.cli", "up", "--config", str(self.path), "--log-files"]
        environment = node_config.without_node_settings(dict(os.environ))
        root = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(part for part in (root, environment.get("PYTHONPATH", "")) if part)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        line = self._first_line(self._process)
        if not line.startswith("ready "):
            tail = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise StorageError(f"the node did not start: {' '.join(tail)}", hint=f"see {self._log} and {self.logs}")
        self.progress.print(line)
        self.progress.finish_step("ready")

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop the node with SIGTERM and wait until it has drained. Another status than 0 is a problem of the demo."""
        if self._process is None:
            return
        began = time.monotonic()
        if self.is_alive():
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGTERM)  # the second one ends it without draining
            status = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if status != 0:
            self.progress.problems.append(f"the node ended with status {status}; see {self._log}")
        self.progress.seconds["drain"] = round(time.monotonic() - began, 2)

    def _first_line(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        timer = threading.Timer(READY_TIMEOUT_S, process.terminate)
        timer.start()
        try:
            return process.stdout.readline().strip()
        finally:
            timer.cancel()
