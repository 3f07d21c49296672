"""The namespaces of ``make chaos ARGS=--hosts``: links that are cut, slow and lossy, and nothing left when the run is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.chaos.hosts import sandbox
from tests.chaos.hosts.outside import ROOT, start_outside
from tests.support.node_process import wait_until

# Runs inside: a server on each of two hosts, one of them behind the wire. Prints what a client at the bridge sees.
LINKS = """
import json, socket, subprocess, sys, time
from tests.chaos.hosts import sandbox
from tests.chaos.hosts.network import Network
folder = sandbox.enter()
network = Network.create()
plain = network.add("plain", 11)
wired, wire = network.add_behind_wire("wired", 12, folder)
server = "import socket, sys; s = socket.create_server(('', 99)); print('listens', flush=True)\\nwhile True: s.accept()[0].close()"
for host in (plain, wired):
    process = subprocess.Popen(host.command(sys.executable, "-S", "-c", server), stdout=subprocess.PIPE)
    process.stdout.readline()
def connect(host, timeout_s=60.0):
    began = time.monotonic()
    try:
        with socket.create_connection((host.address, 99), timeout=timeout_s) as connection:
            connection.recv(1)
            return time.monotonic() - began
    except OSError:
        return None
name = subprocess.run(wired.command("hostname"), capture_output=True, text=True).stdout.strip()
seen = {"name": name, "plain": connect(plain), "wired": connect(wired)}
wire.set(delay_ms=100.0)
seen["delayed"] = connect(wired)
wire.set(loss=0.1)
seen["lossy"] = [connect(wired, 300.0) for _ in range(12)]
seen["frames"] = wire.counted()
wire.set()
network.cut("plain")
network.cut("wired")
seen["cut"] = [connect(plain, 0.5), connect(wired, 0.5)]
network.join("plain")
network.join("wired")
seen["joined"] = [connect(plain), connect(wired)]
print(json.dumps(seen))
"""
SLEEP = "import sys, time; from tests.chaos.hosts import sandbox; sandbox.enter(); print('inside', flush=True); time.sleep(3600)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if lacks := sandbox.missing():
        pytest.fail("; ".join(lacks))
    return tmp_path


def outside(folder: Path, script: str) -> "subprocess.Popen[str]":
    """Start a script in the namespaces, as the harness starts itself."""
    (folder / "inside_the_namespaces.py").write_text(script)
    return start_outside("inside_the_namespaces", folder / "run", folder)


def test_links_are_cut_slow_and_lossy(folder: Path) -> None:
    with outside(folder, LINKS) as process:
        out, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    seen = json.loads(out)
    assert seen["name"] == "wired"
    assert seen["delayed"] > 0.2, "100 ms in each direction"
    assert seen["wired"] < seen["delayed"]
    assert seen["frames"]["lost"] > 0
    assert None not in seen["lossy"], "TCP sends again what the link loses"
    assert seen["cut"] == [None, None]
    assert None not in seen["joined"]


def test_nothing_is_left_when_the_run_is_killed(folder: Path) -> None:
    process = outside(folder, SLEEP)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    inside = psutil.Process(process.pid).children(recursive=True)
    assert len(inside) >= 2, "unshare, and the harness in the namespaces"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    process.stdout.close()
    wait_until("the end of every process", lambda: not any(one.is_running() for one in inside), every_s=0.05)
    assert list((folder / "run").iterdir()) == [], "its files were on a file system that is gone"


def test_without_root_it_says_so(folder: Path) -> None:
    script = "import os, sys; from tests.chaos.__main__ import main; os.seteuid(65534); sys.argv[1:] = ['--hosts']; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2, done.stderr
    assert "only root makes network namespaces" in done.stderr
