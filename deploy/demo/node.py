"""The node of the demo, started as a user starts it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from core.errors import StorageError
from deploy.demo import config
from deploy.demo.pacs import Pacs, free_port
from deploy.demo.progress import Story
from deploy.local.child_process import dying_with_us
from deploy.settings_file import load_settings

READY_TIMEOUT_S = 200.0
STOP_TIMEOUT_S = 40.0


class StartedNode:
    """`dicom-node up`, as a user starts it, with nothing of the caller's own node in its environment."""

    def __init__(self, story: Story, pacs: Pacs) -> None:
        self.story = story
        self.port = free_port()
        self.path = config.write(story.folder, config.node_toml(self.port, free_port(), pacs))
        self.settings = load_settings(self.path, {})
        self.logs = self.settings.node.data_dir / "logs"
        self._log = story.folder / "up.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Raises StorageError where it does not say that it is ready."""
        command = [*dying_with_us(), sys.executable, "-m", "deploy.cli", "up", "--config", str(self.path), "--log-files"]
        environment = config.isolated(dict(os.environ))
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
        self.story.tell(line)
        self.story.reached("ready")

    def _first_line(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        timer = threading.Timer(READY_TIMEOUT_S, process.terminate)
        timer.start()
        try:
            return process.stdout.readline().strip()
        finally:
            timer.cancel()

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """SIGTERM; it drains."""
        if self._process is None:
            return
        began = time.monotonic()
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGTERM)  # the second one is hard
            status = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if status != 0:
            self.story.problems.append(f"the node ended with status {status}; see {self._log}")
        self.story.seconds["drain"] = round(time.monotonic() - began, 2)
