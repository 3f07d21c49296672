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
from db.base import Database
from deploy.demo.pacs import free_port
from deploy.running import Servers, running_servers
from models import installed
from models.bundle.convert import convert
from tests.chaos.arms import Arms
from tests.chaos.peer import Peer
from tests.support.bundles import inference, make_bundle
from tests.support.node import RunningNode, wait_until

ROLES = ("listen", "conduct", "relay", "worker", "send", "console")
TIMEOUT_S = 3.0  # of the node towards its destinations
DATA_BYTES = 1536 << 20
CONFIG = """
[node]
port = {port}
[console]
port = {console}
[receive]
association_lease_s = 4.0
network_timeout_s = 5.0
min_free_bytes = 0
[completion]
settle_s = 1.0
quiet_s = 5.0
[worker]
device = "cpu"
lease_s = 6.0
max_attempts = 5
retry_base_s = 2.0
republish_after_s = 3.0
soft_time_limit_s = 20.0
hard_time_limit_s = 25.0
[delivery]
lease_s = 8.0
retry_base_s = 0.5
retry_cap_s = 3.0
probe_cap_s = 3.0
timeout_s = {timeout_s}
commitment_answer_s = 6.0
max_resends = 20
[[sources]]
ae_title = "MODALITY"
host = "127.0.0.1"
[[sources]]
ae_title = "ARCHIVE"
host = "127.0.0.1"
[[destinations]]
name = "east"
ae_title = "EAST"
host = "127.0.0.1"
port = {east}
accept_research = true
storage_commitment = true
[[destinations]]
name = "west"
ae_title = "WEST"
host = "127.0.0.1"
port = {west}
accept_research = true
[[routes]]
name = "skin"
model = "dermoscopy_7class"
destinations = ["east", "west"]
when = {{ Modality = "DMS" }}
[[routes]]
name = "chest"
model = "brought_detector"
destinations = ["east", "west"]
when = {{ Modality = "CT" }}
"""


@dataclass(slots=True)
class Ward:
    """``acknowledged``: SOP Instance UID -> sha256 of the data set; ``struck``: what was done to the node, and how often."""

    node: RunningNode
    data: Path
    arms: Arms
    peers: tuple[Peer, Peer]
    database: Database
    servers: Servers
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
        return [process for process in self.node.processes() if _is(what, process)]

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


def open_ward(folder: Path) -> Ward:
    """Destinations, models, and a node with short leases that sends to both destinations. What fails on the way leaves nothing behind."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    data.mkdir()
    with ExitStack() as undone:
        own_disk = _mount(data)
        if own_disk:
            undone.callback(_unmount, data)
        peers = Peer("EAST", hang_s=2 * TIMEOUT_S), Peer("WEST", hang_s=2 * TIMEOUT_S)
        for peer in peers:
            peer.start()
            undone.callback(peer.stop)
        place = installed.install(_quick_detector(folder), data / installed.FOLDER)
        config = folder / "node.toml"
        ports = {"port": free_port(), "console": free_port(), "east": peers[0].port, "west": peers[1].port}
        config.write_text(CONFIG.format(timeout_s=TIMEOUT_S, **ports))
        arms = Arms.laid(folder / "arms")
        node = RunningNode(config, arms.environment())
        undone.callback(node.kill_gently)
        node.start()
        node.cli("models", "activate", place.card.name, place.card.version)
        servers = running_servers(data)
        assert servers is not None
        database = Database.open(servers.database, pool_size=2)
        undone.callback(database.dispose)
        for peer in peers:
            peer.node_port = node.port
        ward = Ward(node, data, arms, peers, database, servers, own_disk)
        wait_until("a worker", lambda: ward.processes("worker child"))
        ward.undone = undone.pop_all()
        return ward


def _mount(data: Path) -> bool:
    """A disk of its own, so that it can be full: only root may mount one. Else full disks are injected, write by write."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DATA_BYTES},mode=755", "tmpfs", str(data)]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


def _unmount(data: Path) -> None:
    subprocess.run(["umount", "--lazy", str(data)], check=False, capture_output=True)


def _quick_detector(folder: Path) -> Path:
    """A real network, imported as a person would, that looks at coarse voxels: milliseconds a series."""
    config = inference((48, 48, 8))
    spacing = next(one for one in config["preprocessing"]["transforms"] if one["_target_"] == "Spacingd")
    spacing["pixdim"] = [8.0, 8.0, 4.0]
    bundle = make_bundle(folder / "zoo" / "bundle", config)
    convert(bundle, folder / "zoo" / "about.toml", folder / "made")
    return folder / "made"


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
