"""The listeners that the receive benchmark compares: dicom-node, Orthanc, DCMTK's storescp and pynetdicom's."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import make_url

from core.errors import ConfigurationError
from db.engine import Database
from db.roles.heartbeats import alive_processes
from deploy.demo.pacs.interface import AE_TITLE
from deploy.demo.pacs.orthanc import Orthanc
from deploy.local.embedded.postgres import EmbeddedPostgres
from deploy.local.ports import accepts_connections, free_port
from tests.bench.benchmark import postgres_with_schema

Target = tuple[str, int]  # AE title, port
START_TIMEOUT_S = 600.0  # only ends a hang: on a busy machine a start takes minutes
POSTGRESQL = Path("/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so")  # where Debian's orthanc-postgresql installs it


@dataclass(frozen=True, slots=True)
class RunningListener:
    """The role ``listen`` of a node, with the URL of its PostgreSQL."""

    port: int
    pid: int
    database_url: str

    @property
    def target(self) -> Target:
        """Where a sender finds it."""
        return "DICOMNODE", self.port


@contextmanager
def node(folder: Path, processes: int) -> Iterator[Target]:
    """Run the role ``listen`` with PostgreSQL; no other role."""
    with listener(folder, processes) as running:
        yield running.target


@contextmanager
def listener(folder: Path, processes: int, program: Sequence[str] = ("deploy.cli",)) -> Iterator[RunningListener]:
    """Run the same; yield it. ``program``: the module that runs the command, and its first arguments."""
    port, config = free_port(), folder / "node.toml"
    with postgres_with_schema(folder / "postgresql") as url, Database.open(url) as database:
        config.write_text(
            f'[node]\ndata_dir = "{folder / "data"}"\nport = {port}\nprocesses = {processes}\n'
            f"[receive]\nmin_free_bytes = 0\nmax_waiting = 0\n"
            f'[database]\nurl = "{url}"\n[logs]\nlevel = "warning"\n[[sources]]\nae_title = "BENCH"\nhost = "127.0.0.1"\n'
        )
        process = subprocess.Popen([sys.executable, "-m", *program, "listen", "--config", str(config)])
        try:
            wait_for(port)
            if processes > 1:
                wait_for_processes(database, processes)
            yield RunningListener(port, process.pid, url)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_for_processes(database: Database, processes: int) -> None:
    """Wait until every listener process has written a heartbeat."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while sum(beat.role == "listen" for beat in alive_processes(database, 60)) < processes:
        if time.monotonic() > deadline:
            raise SystemExit("the listener processes did not start")
        time.sleep(0.1)


@contextmanager
def storescp(folder: Path) -> Iterator[Target]:
    """Run DCMTK's storescp."""
    with run_server(lambda port: ["/usr/bin/storescp", "--fork", "-od", str(folder), str(port)]) as port:
        yield "STORESCP", port


@contextmanager
def pynetdicom_storescp(folder: Path) -> Iterator[Target]:
    """Run pynetdicom's storescp."""
    with run_server(lambda port: [sys.executable, "-m", "pynetdicom", "storescp", str(port), "-od", str(folder), "-q"]) as port:
        yield "STORESCP", port


@contextmanager
def run_server(command: Callable[[int], list[str]]) -> Iterator[int]:
    """Run a command on a free port; yield the port."""
    port = free_port()
    process = subprocess.Popen(command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def orthanc_postgresql(folder: Path) -> Iterator[Target]:
    """Run Orthanc with its index in PostgreSQL, which survives a power failure; its files are in the file system."""
    server = EmbeddedPostgres(folder / "postgresql")
    url = make_url(server.start())
    try:
        index = {"EnableIndex": True, "EnableStorage": False, "Lock": False, "Host": url.host, "Port": url.port, "Database": url.database}
        settings = {"Plugins": [str(POSTGRESQL)], "PostgreSQL": {**index, "Username": url.username, "Password": url.password}}
        with orthanc(folder, settings) as target:
            yield target
    finally:
        server.stop()


@contextmanager
def orthanc(folder: Path, settings: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Target]:
    """Run Orthanc."""
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not Path(program).exists():
        raise ConfigurationError("Orthanc is not installed", hint="apt-get install orthanc")
    server = Orthanc(program, folder, settings)
    server.start()
    try:
        yield AE_TITLE, server.port
    finally:
        server.stop()


def wait_for(port: int) -> None:
    """Wait until something listens on a port."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not accepts_connections("127.0.0.1", port):
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing answers on port {port}")
        time.sleep(0.05)
