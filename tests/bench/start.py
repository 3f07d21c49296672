"""Measures how long the node and its commands take to start, beside Orthanc in the same run.

    .venv/bin/python -m tests.bench.start --rounds 3

Processor time is that of the command and everything it starts (getrusage); wall time is from the start of the process. For servers the time
until the DICOM port answers a C-STORE (the node) or accepts a connection (Orthanc), and until everything is ready.
"""

import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from deploy.demo.synthetic.lesion import lesion_dataset
from deploy.local.node_lock import running_servers
from deploy.local.ports import accepts_connections
from dicom_node.sockets import NodeEntity
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, report, work_folder
from tests.support import node_toml
from tests.support.orthanc import Orthanc
from tests.support.series import CT, image

COMMANDS = ("--version", "--help", "jobs list", "deliveries list", "rules unrouted", "models list", "audit verify", "doctor")
TARGETS = {"--version": "0.2 s", "doctor": "", "--help": "", "audit verify": ""}
LISTING_TARGET = "0.8 s"
STARTS = ("first C-STORE stored", "every role ready")


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time and wall time in seconds."""

    processor_s: float
    wall_s: float


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__, page=paired_runs.MEASUREMENTS)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with work_folder() as folder:
        rows = measure(folder, arguments.rounds)
    text = paired_runs.markdown_table(["start", "processor time, s", "wall time, s", "target"], rows)
    report(arguments, "start", "## Start", text, f"--rounds {arguments.rounds}", page=paired_runs.MEASUREMENTS)


def measure(folder: Path, rounds: int) -> list[list[str]]:
    """Return the rows of the table: servers, then commands while the node runs, then ``predict``."""
    config = write_configuration(folder)
    starts: dict[str, list[Cost]] = {}
    commands: dict[str, list[Cost]] = {}
    for number in range(rounds):
        environment = {**os.environ, "DICOM_NODE_CONFIG": str(config)}
        node, found = start_node(config, environment)
        for name, cost in found.items():
            starts.setdefault(f"`up`{' on an empty folder' if number == 0 else ''}: {name}", []).append(cost)
        for command in COMMANDS:
            commands.setdefault(command, []).append(run([sys.executable, "-m", "deploy.cli", *command.split()], environment))
        stop(node)
        starts.setdefault("Orthanc: port accepts connections, REST answers", []).append(start_orthanc(folder / f"orthanc-{number}"))
    picture = folder / "photograph.dcm"
    lesion_dataset(1, size=(450, 600)).save_as(picture, enforce_file_format=True)
    predict = [sys.executable, "-m", "deploy.cli", "predict", "dermoscopy_7class", str(picture)]
    commands["predict, one photograph"] = [run(predict, dict(os.environ)) for _ in range(rounds)]
    targets = {**dict.fromkeys(COMMANDS, LISTING_TARGET), **TARGETS, "predict, one photograph": "6 s"}
    rows = [row(name, costs, "3 s" if STARTS[0] in name else "8 s" if STARTS[1] in name else "") for name, costs in starts.items()]
    return rows + [row(f"`{name}`", costs, targets[name]) for name, costs in commands.items()]


def row(name: str, costs: list[Cost], target: str) -> list[str]:
    """Return a row of the table: median (minimum to maximum) of both times."""
    return [name, spread([cost.processor_s for cost in costs]), spread([cost.wall_s for cost in costs]), target]


def spread(values: list[float]) -> str:
    """Return ``median (minimum to maximum)`` with two digits."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def write_configuration(folder: Path) -> Path:
    """Write the configuration of a node with one source, a folder as destination and a route to a model."""
    (folder / "results").mkdir()
    path = folder / "node.toml"
    path.write_text(f"""
{node_toml.ports()}[receive]
min_free_bytes = 0
[[destinations]]
name = "folder"
folder = "{folder / "results"}"
accept_research = true
{node_toml.source("BENCH")}{node_toml.skin_route(destinations=("folder",))}""")
    return path


def start_node(config: Path, environment: Mapping[str, str]) -> tuple["subprocess.Popen[str]", dict[str, Cost]]:
    """Start ``up``; return it with the times until an instance is stored, and until it is ready. Processor time: of all its processes."""
    port = int(config.read_text().partition("port = ")[2].split()[0])
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", "up"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(environment)
    )
    instance = image()
    while not stored(port, instance):
        time.sleep(0.02)
    first = Cost(processor_of_tree(process.pid), time.monotonic() - began)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("ready"), line
    ready = Cost(processor_of_tree(process.pid), time.monotonic() - began)
    assert running_servers(config.parent / "data") is not None
    return process, {STARTS[0]: first, STARTS[1]: ready}


def stored(port: int, instance: Dataset) -> bool:
    """Whether a C-STORE is answered with Success."""
    if not accepts_connections("127.0.0.1", port):
        return False
    entity = NodeEntity("BENCH")
    entity.add_requested_context(CT, str(ExplicitVRLittleEndian))
    association = entity.associate("127.0.0.1", port, ae_title="DICOMNODE")
    if not association.is_established:
        return False
    status = association.send_c_store(instance)
    association.release()
    return getattr(status, "Status", None) == 0x0000


def start_orthanc(folder: Path) -> Cost:
    """Start Orthanc and stop it; return the time until it answers."""
    server = Orthanc(folder, "ORTHANC")
    began = time.monotonic()
    server.start()
    wall_s = time.monotonic() - began
    return Cost(processor_of(server.stop), wall_s)


def stop(process: "subprocess.Popen[str]") -> None:
    """Stop the node in order."""
    process.send_signal(signal.SIGTERM)
    process.communicate()


def run(command: list[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end; doctor ends with status 1 where something is to be fixed."""
    began = time.monotonic()
    processor_s = processor_of(lambda: subprocess.run(command, env=dict(environment), capture_output=True, check=False))
    return Cost(processor_s, time.monotonic() - began)


def processor_of(action: Callable[[], object]) -> float:
    """Return the processor time of the child processes that have ended during ``action``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def processor_of_tree(pid: int) -> float:
    """Return the processor time of a process and all its descendants so far, ended children included."""
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


if __name__ == "__main__":
    main()
