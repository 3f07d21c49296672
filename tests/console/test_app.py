"""The console over HTTP, with a real database."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from console import app
from console.health import ROLES
from console.server.address import scheme
from core.errors import ConfigurationError
from core.settings.node import NodeSection
from core.settings.receive import ReceiveSection
from core.settings.settings import Settings
from core.settings.web.console import ConsoleSection
from core.states import JobState
from db.engine import Database
from db.roles import heartbeats


def _settings(data_dir: Path, min_free_bytes: int = 1) -> Settings:
    node, receive = NodeSection(data_dir=data_dir, ae_title="TESTNODE"), ReceiveSection(min_free_bytes=min_free_bytes)
    return Settings(node=node, console=ConsoleSection(port=0), receive=receive)


class RunningConsole:
    """A console in a thread, and an HTTP client of it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.stop = threading.Event()
        ready = threading.Event()
        self.client = httpx.Client(timeout=60)

        def on_ready(host: str, port: int) -> None:
            self.client.base_url = httpx.URL(f"{scheme(settings.console)}://{host}:{port}")
            ready.set()

        self.thread = threading.Thread(target=app.run, args=(settings, database, self.stop, on_ready), daemon=True)
        self.thread.start()
        assert ready.wait(600)

    def end(self) -> None:
        """Stop the console."""
        self.client.close()
        self.stop.set()
        self.thread.join(600)
        assert not self.thread.is_alive()


Start = Callable[[Settings, Database], RunningConsole]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[RunningConsole] = []

    def begin(settings: Settings, database: Database) -> RunningConsole:
        running.append(RunningConsole(settings, database))
        return running[-1]

    yield begin
    for console in running:
        console.end()


def _write_heartbeats(database: Database) -> None:
    for role in ROLES:
        heartbeats.record_heartbeat(database, role, "host:1", {"free": "text"})


def _metrics(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


def test_healthz_answers_while_no_other_role_runs(start: Start, database: Database, tmp_path: Path) -> None:
    console = start(_settings(tmp_path), database)
    answer = console.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    answer = console.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "missing": [f"{role}: no heartbeat within 30 s" for role in ROLES]}


def test_ready_while_every_role_has_heartbeats(start: Start, database: Database, tmp_path: Path) -> None:
    console = start(_settings(tmp_path), database)
    _write_heartbeats(database)
    answer = console.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "missing": []})
    heartbeats.delete_heartbeat(database, "worker", "host:1")
    answer = console.client.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["worker: no heartbeat within 30 s"])
    heartbeats.record_heartbeat(database, "worker", "host:2", {"problem": "no GPU"})
    assert console.client.get("/readyz").json()["missing"] == ["worker: no GPU"]


def test_not_ready_on_a_full_disk(start: Start, database: Database, tmp_path: Path) -> None:
    console = start(_settings(tmp_path, min_free_bytes=1 << 60), database)
    _write_heartbeats(database)
    answer = console.client.get("/readyz")
    assert answer.status_code == 503
    (line,) = answer.json()["missing"]
    assert line.startswith("disk: ")


def test_an_unavailable_database_is_reported(start: Start, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        unavailable = Database.open(f"postgresql://nobody:secret@127.0.0.1:{closed.getsockname()[1]}/none")
        console = start(_settings(tmp_path), unavailable)
        answer = console.client.get("/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, ["database: unavailable"])
        assert _metrics(console.client.get("/metrics").text)[("dicom_node_database_up", ())] == 0
        page = console.client.get("/status")
        assert page.status_code == 200
        assert "database: unavailable" in page.text
        assert "secret" not in page.text + answer.text
        assert console.client.get("/api/v1/status").json()["instances"] is None
        assert console.client.get("/healthz").status_code == 200
        unavailable.dispose()


def test_a_database_without_schema_is_not_ready(start: Start, postgres_url: str, tmp_path: Path) -> None:
    empty = Database.open(postgres_url)
    console = start(_settings(tmp_path), empty)
    (line,) = console.client.get("/readyz").json()["missing"]
    assert "dicom-node db upgrade" in line
    console.end()
    empty.dispose()


def test_metrics_of_an_empty_node(start: Start, database: Database, tmp_path: Path) -> None:
    console = start(_settings(tmp_path), database)
    _write_heartbeats(database)
    answer = console.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    values = _metrics(answer.text)
    assert values[("dicom_node_ready", ())] == 1
    assert values[("dicom_node_database_up", ())] == 1
    assert values[("dicom_node_disk_free_bytes", ())] > 0
    for state in JobState:
        assert values[("dicom_node_jobs", (("state", state),))] == 0
    for name in ("instances", "units_open", "outbox_backlog", "oldest_queued_seconds", "quarantine_items", "undecided"):
        assert values[(f"dicom_node_{name}", ())] == 0
    for role in ROLES:
        assert 0 <= values[("dicom_node_heartbeat_age_seconds", (("role", role),))] < 600


def test_the_openapi_document_describes_the_status(start: Start, database: Database, tmp_path: Path) -> None:
    console = start(_settings(tmp_path), database)
    document = console.client.get("/api/v1/openapi.json").json()
    assert {"/healthz", "/readyz", "/metrics", "/api/v1/status"} <= set(document["paths"])
    answer = console.client.get("/api/v1/status").json()
    assert set(answer) == set(document["components"]["schemas"]["Status"]["properties"])
    assert answer["ae_title"] == "TESTNODE"


def test_the_status_page_and_the_security_headers(start: Start, database: Database, tmp_path: Path) -> None:
    console = start(_settings(tmp_path), database)
    _write_heartbeats(database)
    page = console.client.get("/status")
    assert page.status_code == 200
    assert "Ready: it receives, queues and stores." in page.text
    assert "not for clinical use" in page.text
    for path in ("/status", "/healthz", "/static/console.css", "/nothing/here"):
        headers = console.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
    assert console.client.get("/static/console.css").status_code == 200
    assert console.client.get("/static/../app.py").status_code == 404
    assert console.client.get("/static/%2e%2e/app.py").status_code == 404
    assert console.client.get("/docs").status_code == 404
    assert console.client.post("/readyz").status_code == 405
    for path in ("/healthz", "/metrics", "/status", "/static/console.css"):
        answer = console.client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) > 0
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert console.client.head("/nothing/here").status_code == 404


def test_the_console_writes_a_heartbeat_until_it_ends(start: Start, database: Database, tmp_path: Path) -> None:
    console = start(_settings(tmp_path), database)
    deadline = time.monotonic() + 240
    while not (beats := [beat for beat in heartbeats.alive_processes(database, 600) if beat.role == "console"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert beats[0].details["url"] == str(console.client.base_url).rstrip("/")
    console.end()
    assert [beat for beat in heartbeats.alive_processes(database, 600) if beat.role == "console"] == []


def test_a_port_in_use_is_a_configuration_error(database: Database, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = _settings(tmp_path).model_copy(update={"console": ConsoleSection(port=taken.getsockname()[1])})
        with pytest.raises(ConfigurationError, match=r"console cannot listen.*set console\.host and console\.port"):
            app.run(settings, database, threading.Event())
