"""The node under test, its two destinations, and all that the harness knows and counts about them."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from core.errors import NodeError
from db.engine import Database
from deploy.local.node_lock import ServerUrls
from tests.chaos.arms import Arms
from tests.chaos.peer import Peer
from tests.support.node_process import RunningNode

ROLES = ("listen", "conduct", "relay", "worker", "send", "console")


@dataclass(slots=True)
class Ward:
    """``acknowledged``: SOP Instance UID -> sha256 of the data set; ``struck``: what was done to the node, and how often."""

    node: RunningNode
    data: Path
    arms: Arms
    peers: tuple[Peer, Peer]
    database: Database
    servers: ServerUrls
    own_disk: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    acknowledged: dict[str, str] = field(default_factory=dict)
    struck: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    poisoned: set[str] = field(default_factory=set)
    twins: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    clock_s: float = 0.0
    undone: ExitStack = field(default_factory=ExitStack)

    def count(self, what: str) -> None:
        with self.lock:
            self.struck[what] += 1

    @property
    def kills(self) -> int:
        """kill -9 of a process of the node: at random instants and at labelled steps."""
        at_steps = sum(do == "kill" for _, do in self.arms.fired())
        return at_steps + sum(times for what, times in self.struck.items() if what.startswith("kill "))

    def processes(self, what: str) -> list[psutil.Process]:
        """The processes of ``what``, told by their command lines: a role, "worker child", "postgres", "broker"."""
        return [process for process in self.node.descendants() if _is(what, process)]

    def kill(self, what: str, dice: random.Random) -> bool:
        """kill -9 of one of them; False where none runs at this moment."""
        victims = self.processes(what)
        with suppress(psutil.NoSuchProcess, IndexError):
            dice.choice(victims).send_signal(signal.SIGKILL)
            self.count(f"kill {what}")
            return True
        return False

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Rows of the node's database, waited for where it is away."""
        deadline = time.monotonic() + 90
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
        return int(self.rows(statement)[0][0] or 0)

    def environment(self) -> dict[str, str]:
        """For a role beside those of `up`."""
        urls = {"DICOM_NODE_DATABASE__URL": self.servers.database, "DICOM_NODE_BROKER__URL": self.servers.broker}
        return {**os.environ, **urls, **self.arms.environment()}

    def twin(self, role: str) -> None:
        """A second process of a role."""
        command = [sys.executable, "-m", "deploy.cli", role, "--config", str(self.node.config)]
        self.twins.append(subprocess.Popen(command, env=self.environment(), stderr=subprocess.DEVNULL))

    def end_twins(self) -> None:
        while self.twins:
            twin = self.twins.pop()
            if twin.poll() is None:
                twin.kill()
                self.count("kill twin")
            twin.wait()

    def close(self) -> None:
        self.end_twins()
        self.undone.close()


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
