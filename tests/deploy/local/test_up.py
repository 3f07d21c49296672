"""``up``: the ready line, one node per folder, restarted roles, SIGTERM, and a start after each kind of end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from deploy.demo.modality import AE_TITLE as CAMERA_AE
from deploy.demo.modality import send_files
from deploy.demo.pacs.interface import AE_TITLE as PACS_AE
from deploy.demo.pacs.storage_scp import StorageScp
from deploy.demo.synthetic.lesion import lesion_dataset
from deploy.local.ports import free_port
from dicom_node.contexts import VERIFICATION
from tests.support import node_toml
from tests.support.node_process import RunningNode, wait_until
from tests.support.storage_scu import entity

pytestmark = pytest.mark.timeout(3600)  # three starts of every role, which take minutes on a loaded machine

ROLES = {"listen", "conduct", "relay", "worker", "send", "console"}


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[StorageScp]:
    server = StorageScp(tmp_path / "pacs")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def node(services_dir: Path, pacs: StorageScp) -> Iterator[RunningNode]:
    folder = Path(tempfile.mkdtemp(prefix="up-", dir=services_dir))
    folder.chmod(0o755)
    config = folder / "node.toml"
    config.write_text(f"""
{node_toml.ports()}[receive]
min_free_bytes = 0
[worker]
children = 1
[delivery]
retry_base_s = 0.5
{node_toml.source(CAMERA_AE)}{node_toml.pacs(pacs.port, ae_title=PACS_AE)}{node_toml.skin_route()}""")
    running = RunningNode(config)
    yield running
    running.stop_or_kill()


@pytest.fixture
def server_settings(database_url: str, broker_url: str) -> str:
    """The servers of the test session: a node that is not to become ready needs no embedded ones."""
    return f'[database]\nurl = "{database_url}"\n[broker]\nurl = "{broker_url}"\n'


def accepts_source(node: RunningNode, calling: str) -> bool:
    """Whether the node accepts an association of this AE title."""
    association = entity(calling, {VERIFICATION: [str(ImplicitVRLittleEndian)]}).associate(node.host, node.port, ae_title=node.ae)
    if association.is_established:
        association.release()
    return bool(association.is_released)


def write_lesion(folder: Path, seed: int) -> Path:
    """Write a small photograph; return its path."""
    path = folder / f"{seed}.dcm"
    lesion_dataset(seed, size=(120, 160)).save_as(path, enforce_file_format=True)
    return path


def roles(node: RunningNode) -> dict[str, psutil.Process]:
    """Return the child processes of ``up`` by their role."""
    assert node.process is not None
    found = {}
    for child in psutil.Process(node.process.pid).children():
        line = child.cmdline()
        if "deploy.cli" in line:
            found[line[line.index("deploy.cli") + 1]] = child
    return found


def wait_for_delivered_jobs(node: RunningNode, pacs: StorageScp, count: int) -> list[dict[str, Any]]:
    """Return the jobs of the node, once there are ``count`` and all are delivered."""
    wait_until(f"{count} reports", lambda: len(list(pacs.folder.iterdir())) >= count, every_s=0.1)

    def delivered_jobs() -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = node.json("jobs", "list", "--json")
        return jobs if len(jobs) == count and all(job["job_state"] == "delivered" for job in jobs) else []

    found: list[dict[str, Any]] = wait_until(f"{count} delivered jobs", delivered_jobs)
    return found


def test_start_work_kill_and_stop(node: RunningNode, pacs: StorageScp, tmp_path: Path) -> None:
    node.start()
    assert (node.ae, node.host) == ("DICOMNODE", "127.0.0.1")
    with urllib.request.urlopen(f"{node.console}/healthz", timeout=600) as answer:
        assert answer.status == 200
    assert set(roles(node)) == ROLES

    # One node per data folder.
    command = [sys.executable, "-m", "deploy.cli", "up", "--config", str(node.config)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (second.returncode, second.stdout) == (2, "")
    assert "a node already runs" in second.stderr.splitlines()[-1]

    # The other commands find the embedded database, and an image that is sent becomes a report in the PACS.
    send_files([write_lesion(tmp_path, 1)], node.host, node.port, node.ae)
    (job,) = wait_for_delivered_jobs(node, pacs, 1)
    (delivery,) = node.json("deliveries", "list", "--json")
    assert pacs.fetch(delivery["sop_instance_uid"]) is not None

    assert node.json("jobs", "show", str(job["job_id"]), "--json")["job_state"] == "delivered"
    assert node.cli("jobs", "show", str(job["job_id"])) == ""  # the table goes to standard error

    # Roles that are killed are started again and lose no work.
    victims = {name: roles(node)[name] for name in ("worker", "send", "conduct")}
    for victim in victims.values():
        victim.kill()
    send_files([write_lesion(tmp_path, 2)], node.host, node.port, node.ae)
    wait_for_delivered_jobs(node, pacs, 2)
    assert all(roles(node)[name].pid != victim.pid for name, victim in victims.items())

    # A changed configuration is used without a restart; a wrong one changes nothing.
    right = node.config.read_text()
    node.config.write_text(right.replace("[[routes]]", "[[rutes]]"))
    assert "rutes: unknown key" in node.all_output("reload")
    node.config.write_text(right.replace("[[sources]]", """[[sources]]\nae_title = "SECOND"\nhost = "127.0.0.1"\n[[sources]]""", 1))
    assert node.json("reload", "--json")["changed"] == ["sources"]
    wait_until("the new source", lambda: accepts_source(node, "SECOND"), every_s=0.1)
    node.config.write_text(node.config.read_text().replace("[receive]", "[receive]\nacse_timeout_s = 7.0"))
    assert "needs a restart: receive.acse_timeout_s" in node.all_output("reload")
    events = [json.loads(line) for line in node.cli("audit", "export").splitlines()]
    reloads = [event for event in events if event["action"] == "configuration.reloaded"]
    assert {(event["actor"], *event["details"]["changed"]) for event in reloads} >= {("listen", "sources")}
    node.config.write_text(right)

    # SIGTERM stops the node within 30 s, and nothing more is printed on standard output.
    process = node.process
    assert process is not None
    assert process.stdout is not None
    children = psutil.Process(process.pid).children(recursive=True)
    started_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(600) == 0
    assert time.monotonic() - started_at < 30
    assert process.stdout.read() == ""
    process.stdout.close()
    assert psutil.wait_procs(children, timeout=600)[1] == []

    # After a new start the jobs are still there, and nothing is analysed or delivered twice.
    node.start()
    assert {row["job_id"] for row in node.json("jobs", "list", "--json")} >= {job["job_id"]}
    send_files([write_lesion(tmp_path, 1)], node.host, node.port, node.ae)  # the same bytes: no new work
    send_files([write_lesion(tmp_path, 3)], node.host, node.port, node.ae)
    wait_for_delivered_jobs(node, pacs, 3)
    assert len(node.json("deliveries", "list", "--json")) == 3
    node.json("audit", "verify", "--json")

    # After SIGKILL no process of the node is left, and it starts in the same folder on the same ports.
    killed = node.process
    assert killed is not None
    assert killed.stdout is not None
    children = psutil.Process(killed.pid).children(recursive=True)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(600)
    killed.stdout.close()
    assert psutil.wait_procs(children, timeout=600)[1] == []
    node.config.write_text(right.partition("[[routes]]")[0])  # there is nothing to analyse any more: no model needs to be loaded
    node.start()
    assert len(node.json("jobs", "list", "--json")) == 3

    # A second SIGTERM ends it without waiting.
    process = node.process
    assert process.stdout is not None
    children = psutil.Process(process.pid).children(recursive=True)
    started_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.wait(600)
    assert time.monotonic() - started_at < 15
    process.stdout.close()
    assert psutil.wait_procs(children, timeout=600)[1] == []


def refused(node: RunningNode, text: str) -> str:
    """Return why ``up`` does not start with this configuration."""
    node.config.write_text(text)
    command = [sys.executable, "-m", "deploy.cli", "up", "--config", str(node.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_port_in_use(node: RunningNode, pacs: StorageScp, server_settings: str) -> None:
    assert f"node.port = {pacs.port}" in refused(node, f"[node]\nport = {pacs.port}\n{server_settings}")


def test_what_a_role_would_refuse_is_named_before_anything_starts(node: RunningNode, server_settings: str) -> None:
    text = f'[node]\nport = {free_port()}\n[node.tls]\ncert = "/no/such/cert"\nkey = "/no/such/key"\n[console]\nport = {free_port()}\n'
    reason = refused(node, text + server_settings)
    assert "node.tls.cert: /no/such/cert" in reason
    assert "node.tls.key: /no/such/key" in reason
    assert not list((node.config.parent / "data").glob("postgres*/PG_VERSION")), "a server was started"
