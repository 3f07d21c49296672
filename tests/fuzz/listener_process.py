"""The role ``listen`` in a process of its own, and the resources that it uses."""

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.ports import accepts_connections, free_port
from tests.support.node_process import wait_until

ACSE_TIMEOUT_S, NETWORK_TIMEOUT_S, MAX_ASSOCIATIONS = 4.0, 8.0, 16  # short, but longer than a busy machine pauses a regular sender
RSS_MIB = 48.0  # more than this over the second half of a run is a leak
CONFIG = f"""
[node]
data_dir = "data"
port = {{port}}
[receive]
min_free_bytes = 0
max_associations = {MAX_ASSOCIATIONS}
acse_timeout_s = {{acse_timeout_s}}
dimse_timeout_s = {NETWORK_TIMEOUT_S}
network_timeout_s = {NETWORK_TIMEOUT_S}
quarantine_max_bytes = 300000000
[logs]
format = "json"
[[sources]]
ae_title = "PACS"
host = "127.0.0.1"
"""
# What the node logs for exceptions that it does not expect; no input may cause them.
DEFECT = re.compile(r"Traceback|instance_failed_unexpectedly|association_request_failed|could not be served|Fatal Python")


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """Memory, file handles and threads of the process when it serves nothing."""

    rss_mib: float
    handles: int
    threads: int


@dataclass(slots=True)
class ListenerProcess:
    """A running listener. ``log``: the lines that it has logged."""

    port: int
    folder: Path
    process: psutil.Process
    log: list[str] = field(default_factory=list)

    @property
    def blobs(self) -> Path:
        """Folder of the blobs."""
        return self.folder / "data" / "blobs"

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return bool(self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE)

    def resource_use(self, below_mib: float = math.inf) -> ResourceUse:
        """Wait until nothing is served any more (the same number of threads for a second), and measure.

        ``below_mib``: also wait until the process uses no more memory, for 90 s at most. Associations are cycles of objects: what they
        used is freed by the next collection of garbage, which the server asks for every half minute.
        """
        last, since = -1, time.monotonic()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and time.monotonic() - since < 1.0:
            threads = self.process.num_threads()
            if threads != last:
                last, since = threads, time.monotonic()
            time.sleep(0.05)
        deadline = time.monotonic() + 90
        while self.process.memory_info().rss > below_mib * (1 << 20) and time.monotonic() < deadline:
            time.sleep(0.5)
        return ResourceUse(self.process.memory_info().rss / (1 << 20), self.process.num_fds(), self.process.num_threads())

    def defects(self) -> list[str]:
        """Return lines of the log that no input may cause."""
        return [line for line in self.log if DEFECT.search(line)]


def assert_no_growth(before: ResourceUse, after: ResourceUse) -> None:
    """Assert that handles, threads and memory do not grow with the number of inputs. Two may have been opened for the first time."""
    assert after.handles <= before.handles + 2, f"handles: {before} to {after}"
    assert after.threads <= before.threads + 2, f"threads: {before} to {after}"
    assert after.rss_mib <= before.rss_mib + RSS_MIB, f"memory: {before} to {after}"


@contextmanager
def running_listener(folder: Path, database_url: str, acse_timeout_s: float = ACSE_TIMEOUT_S) -> Iterator[ListenerProcess]:
    """Run ``dicom-node listen`` with short time limits within the block; it must stop with status 0 at its end."""
    port = free_port()
    config = folder / "node.toml"
    config.write_text(CONFIG.format(port=port, acse_timeout_s=acse_timeout_s))
    command = [sys.executable, "-m", "deploy.cli", "listen", "--config", str(config)]
    environ = {**os.environ, "DICOM_NODE_DATABASE__URL": database_url}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environ)
    target = ListenerProcess(port, folder, psutil.Process(process.pid))
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: target.log.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        wait_until("the listener to answer", lambda: process.poll() is not None or accepts_connections("127.0.0.1", port), every_s=0.1)
        yield target
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == 0, "the listener did not stop:\n" + "".join(target.log[-20:])
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(600)
        reader.join(600)
        process.stdout.close()
