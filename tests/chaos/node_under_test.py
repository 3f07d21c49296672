"""The node under test with its two destinations, and what the harness records about them."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from core.errors import NodeError
from db.blobs.store import blob_path
from db.engine import Database
from deploy.local.node_lock import ServerUrls
from tests.chaos.armed_failpoints import ArmedFailpoints
from tests.chaos.destination import FaultyDestination
from tests.support.node_process import RunningNode

ROLES = ("listen", "conduct", "relay", "worker", "send", "console")


@dataclass(slots=True)
class NodeUnderTest:
    """The running node and the records of one run.

    Attributes
    ----------
    has_own_disk
        Whether the data folder is a file system of its own, which can be filled.
    acknowledged
        SOP Instance UID -> SHA-256 of the data set, of every C-STORE that was answered with success.
    faults_done
        Fault -> how often it was injected.
    last_acknowledged
        When that was the last time, by the monotonic clock.
    refused
        Number of C-STORE requests that were not answered with success.
    killer_inputs
        Study Instance UIDs of inputs that kill every worker.
    clock_s
        By how much the node's clock is wrong.
    figures
        What was measured, such as the times of fail-overs in seconds.
    """

    node: RunningNode
    data: Path
    failpoints: ArmedFailpoints
    destinations: tuple[FaultyDestination, FaultyDestination]
    database: Database
    servers: ServerUrls
    has_own_disk: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    acknowledged: dict[str, str] = field(default_factory=dict)
    faults_done: Counter[str] = field(default_factory=Counter)
    last_acknowledged: float = 0.0
    refused: int = 0
    killer_inputs: set[str] = field(default_factory=set)
    second_processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    clock_s: float = 0.0
    figures: dict[str, list[float]] = field(default_factory=dict)
    cleanup: ExitStack = field(default_factory=ExitStack)

    def count(self, fault: str) -> None:
        """Record that a fault was injected."""
        with self.lock:
            self.faults_done[fault] += 1

    @property
    def kills(self) -> int:
        """Number of processes of the node that were killed: at random times and at failpoints."""
        at_failpoints = sum(fault == "kill" for _, fault in self.failpoints.fired())
        return at_failpoints + sum(times for what, times in self.faults_done.items() if what.startswith("kill "))

    def processes(self, what: str) -> list[psutil.Process]:
        """Return the processes of a role, of "worker child", "postgres" or "broker", recognised by their command lines."""
        return [process for process in self.node.descendants() if _is(what, process)]

    def kill(self, what: str, rng: random.Random) -> bool:
        """Kill one of them with SIGKILL. False: none runs at this moment."""
        victims = self.processes(what)
        with suppress(psutil.NoSuchProcess, IndexError):
            rng.choice(victims).send_signal(signal.SIGKILL)
            self.count(f"kill {what}")
            return True
        return False

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Return rows of the node's database; wait while it is unavailable."""
        deadline = time.monotonic() + 600
        while True:
            try:
                with self.database.begin() as connection:
                    found = connection.execute(text(statement), values)
                    return list(found) if found.returns_rows else []
            except NodeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def number(self, statement: str) -> int:
        """Return the number that a query returns."""
        return int(self.rows(statement)[0][0] or 0)

    def read_blob(self, sha256: str) -> bytes:
        """Return the content of a blob; nothing where there is none."""
        path = blob_path(self.data / "blobs", sha256)
        return path.read_bytes() if path.is_file() else b""

    def blob_names(self) -> Iterator[str]:
        """Yield the hashes of all blobs."""
        return (path.name for path in (self.data / "blobs").rglob("*") if len(path.name) == 64)

    def temporary_files(self) -> Iterator[str]:
        """Yield the names of files that are not blobs, and of partial model files."""
        return temporary_files_of(self.data / "blobs", self.data / "models")

    def environment(self) -> dict[str, str]:
        """Return the environment for a process of a role that ``up`` did not start."""
        urls = {"DICOM_NODE_DATABASE__URL": self.servers.database, "DICOM_NODE_BROKER__URL": self.servers.broker}
        return {**os.environ, **urls, **self.failpoints.environment()}

    def start_second_process(self, role: str) -> None:
        """Start a second process of a role."""
        self.second_processes.append(subprocess.Popen(self.node.command(role), env=self.environment(), stderr=subprocess.DEVNULL))

    def end_second_processes(self) -> None:
        """Kill the second processes."""
        while self.second_processes:
            process = self.second_processes.pop()
            if process.poll() is None:
                process.kill()
                self.count("kill second process")
            process.wait()

    def close(self) -> None:
        """Stop everything that was started."""
        self.end_second_processes()
        self.cleanup.close()


def temporary_files_of(blobs: Path, models: Path) -> Iterator[str]:
    """Yield the names of files in these folders that are neither blobs nor complete files of a model."""
    for path in blobs.rglob("*"):
        if path.is_file() and len(path.name) != 64:
            yield path.name
    for path in models.rglob(".part-*"):
        yield path.name


def _is(what: str, process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
        parent = process.ppid()
        above = psutil.Process(parent).cmdline() if what in ("worker", "worker child") else []
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    program = Path(words[0]).name if words else ""
    if what == "postgres":
        return program == "postgres" and "-D" in words  # the postmaster
    if what == "broker":
        return "redis-server" in program or "valkey-server" in program
    if what in ("worker", "worker child"):
        return _role(words) == "worker" and (_role(above) == "worker") is (what == "worker child")
    return _role(words) == what


def _role(words: list[str]) -> str:
    return words[words.index("deploy.cli") + 1] if "deploy.cli" in words else ""
