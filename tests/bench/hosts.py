"""Measures throughput with one and two listeners behind HAProxy, and with one, two and three workers, all on this machine.

    make bench SECTION=hosts

What more processes bring is limited by the cores that senders, PostgreSQL, HAProxy and broker share with them: the table says how many
cores each part used.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from core.logs import configure_logging as configure_logs
from db.engine import Database
from deploy.local.ports import free_port
from tests.bench import paired_runs, receive, receive_targets
from tests.bench.benchmark import command_line, postgres_with_schema, work_folder
from tests.bench.workers import BenchNode, end_to_end
from tests.bench.workers import node as bench_node
from tests.support.external_programs import tool
from tests.support.memory_folder import memory_folder

PAGE = paired_runs.ROOT / "docs" / "scale.md"
ASSOCIATIONS = 8
HAPROXY = """
defaults
  mode tcp
  timeout connect 10s
  timeout client 120s
  timeout server 120s
listen dicom
  bind 127.0.0.1:{port}
  balance roundrobin
{servers}
"""
CONFIG = """
[node]
data_dir = "{data}"
port = {port}
[receive]
min_free_bytes = 0
max_waiting = 0
proxies = ["127.0.0.1"]
[database]
url = "{database}"
[logs]
level = "warning"
[[sources]]
ae_title = "BENCH"
host = "127.0.0.1"
"""


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--instances", type=int, default=480, help="of a round, over all associations")
    parser.add_argument("--jobs", type=int, default=48, help="of a round")
    arguments = parser.parse_args()
    os.environ["TCP_NODELAY"] = "1"
    configure_logs(level="error", style="console", role="bench")
    rows = []
    with work_folder() as folder:
        for count in (1, 2):
            rows.append([f"receiving, listeners: {count}", *measure_listeners(folder / f"listen{count}", count, arguments)])
        (folder / "work").mkdir()
        with bench_node(folder / "work") as site:
            rows += [[f"analysing, workers: {count}", *measure_workers(site, count, arguments)] for count in (1, 2, 3)]
    table = paired_runs.markdown_table(["on one machine", "a second: median (least to most)", "cores used by these processes"], rows)
    note = (
        f"Receiving: CT slices of 0.53 MB on {ASSOCIATIONS} associations through HAProxy, one PostgreSQL, one folder of blobs. Analysing: "
        f"photographs with `dermoscopy_7class` on the CPU, one child a worker and one thread a child. {arguments.rounds} rounds of "
        f"{arguments.instances} instances and {arguments.jobs} jobs."
    )
    conditions = paired_runs.describe_conditions("make bench SECTION=hosts")
    paired_runs.write_section("hosts", f"### Listeners and workers on one machine\n\n{conditions}\n\n{table}\n\n{note}", PAGE)
    print(table)


def measure_listeners(folder: Path, count: int, arguments: argparse.Namespace) -> list[str]:
    """Return the rate in instances a second, and the cores that the listeners used."""
    folder.mkdir(mode=0o755)
    templates = receive.read_templates(folder / "source")
    with listeners(folder, count) as (port, processes):

        def one_round() -> tuple[float, float]:
            sent = memory_folder()
            try:
                sets = receive.make_copies(templates, sent, arguments.instances // ASSOCIATIONS, ASSOCIATIONS)
                before = processor_s(processes)
                seconds = receive.store(sets, ("DICOMNODE", port))
            finally:
                shutil.rmtree(sent)
            return arguments.instances // ASSOCIATIONS * ASSOCIATIONS / seconds, (processor_s(processes) - before) / seconds

        one_round()
        found = [one_round() for _ in range(arguments.rounds)]
    return [paired_runs.format_spread([one[index] for one in found], index) for index in (0, 1)]


@contextmanager
def listeners(folder: Path, count: int) -> Iterator[tuple[int, list[psutil.Process]]]:
    """Run listeners behind HAProxy; yield its port and their processes."""
    port, started = free_port(), list[subprocess.Popen[bytes]]()
    with postgres_with_schema(folder / "postgresql") as url, Database.open(url) as database:
        try:
            ports = [free_port() for _ in range(count)]
            for behind in ports:
                config = folder / f"{behind}.toml"
                config.write_text(CONFIG.format(data=folder / "data", port=behind, database=url))
                started.append(subprocess.Popen([sys.executable, "-m", "deploy.cli", "listen", "--config", str(config)]))
            servers = "\n".join(f"  server l{behind} 127.0.0.1:{behind} send-proxy-v2" for behind in ports)
            (folder / "haproxy.cfg").write_text(HAPROXY.format(port=port, servers=servers))
            receive_targets.wait_for_processes(database, count)
            started.append(subprocess.Popen([tool("haproxy", "haproxy"), "-f", str(folder / "haproxy.cfg"), "-db", "-q"]))
            receive_targets.wait_for(port)
            yield port, [psutil.Process(process.pid) for process in started[:-1]]
        finally:
            for process in reversed(started):
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def measure_workers(site: BenchNode, count: int, arguments: argparse.Namespace) -> list[str]:
    """Return the rate in jobs a second, and the cores that the workers used."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(site.worker("infer.urgent", "infer.routine"))
        processes = [one for worker in site.worker_processes for one in (worker, *worker.children(recursive=True))]
        end_to_end(site, arguments.jobs // 2)
        rates, cores = [], []
        for _ in range(arguments.rounds):
            before, began = processor_s(processes), time.monotonic()
            rates.append(end_to_end(site, arguments.jobs))
            cores.append((processor_s(processes) - before) / (time.monotonic() - began))
    return [paired_runs.format_spread(rates, 1), paired_runs.format_spread(cores, 1)]


def processor_s(processes: list[psutil.Process]) -> float:
    """Return the processor time of these processes so far, in seconds."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


if __name__ == "__main__":
    main()
