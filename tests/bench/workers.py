"""Measures workers: the end-to-end rate beside the bare forward rate, and whether urgent jobs wait for routine ones.

    make bench SECTION=workers

Photographs of 450 x 600 through ``dicom-node worker`` on the CPU, from blobs and PostgreSQL to kept and validated reports.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import psutil
from sqlalchemy import text

from core.logs import configure_logging as configure_logs
from core.states import Priority, UnitKind
from db.blobs.store import Blobs
from db.engine import Database
from db.schema.upgrade import upgrade_schema
from deploy.demo.synthetic.lesion import lesion_dataset
from deploy.local.embedded.broker import EmbeddedBroker
from deploy.local.embedded.postgres import EmbeddedPostgres
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, work_folder
from tests.support.node_process import wait_until
from tests.support.queued_jobs import JobFactory, configure, server_url_variables
from workers.queue import relay

SIZE, BATCH = (450, 600), 8  # as many as the worker takes in a pass on the CPU
BARE = f"bare forward pass, batches of {BATCH}"
CHILDREN = {1: "end to end, one child", 2: "end to end, two children"}
QUEUES = ("nothing else waiting", "behind a full routine queue, one child reserved")


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=96, help="of a round")
    parser.add_argument("--urgent", type=int, default=40)
    arguments = parser.parse_args()
    configure_logs(level="error", style="console", role="bench")
    with work_folder() as folder, node(folder) as site:
        rows, forward = [], bare(arguments.jobs)
        for children, name in CHILDREN.items():
            with site.worker("infer.urgent", "infer.routine", children=children):
                runs = paired_runs.run_in_turns({BARE: forward, name: lambda: end_to_end(site, arguments.jobs)}, arguments.rounds)
            rows += [[BARE, paired_runs.format_spread(runs[BARE], 1), ""]] if not rows else []
            rows.append([name, paired_runs.format_spread(runs[name], 1), paired_runs.median_ratio(runs[name], runs[BARE], better="higher")])
        parts = shares(site)
        alone, loaded = urgent(site, arguments.urgent, arguments.jobs)
    p95 = [quantiles(one, n=20)[-1] for one in (alone, loaded)]
    waits = [[name, f"{median(one):.2f}", f"{tail:.2f}"] for name, one, tail in zip(QUEUES, (alone, loaded), p95, strict=True)]
    text_ = (
        f"## Workers\n\nPhotographs of {SIZE[0]} x {SIZE[1]} pixels on the CPU, one thread a child; {arguments.rounds} rounds of "
        f"{arguments.jobs} in turns, all queued when the clock starts.\n\n"
        f"{paired_runs.markdown_table(['photographs a second', 'median (least to most)', 'of the bare rate (aim 0.8)'], rows)}\n\n"
        f"A job's time in its attempt: {parts} (of the pass its share). Photographs that wait share a pass of {BATCH}; an image in it is "
        "computed alone on one thread, so that its bits are its own, and the pass keeps every core busy. What follows is Python on one "
        "core: making, checking and keeping the report. It bounds what one child can do; PostgreSQL, the relay and the broker take their "
        "share of the same cores.\n\n"
        f"{paired_runs.markdown_table(['an urgent job, from queued to reported', 'p50, s', 'p95, s'], waits)}\n\n"
        f"p95 under load: {p95[1] / p95[0]:.2f} times the unloaded one (aim: 2 at most)."
        f"\n\n{paired_runs.describe_conditions('make bench SECTION=workers')}"
    )
    paired_runs.write_section("workers", text_)
    print(text_)


class BenchNode:
    """Servers, relay, and as many workers as a measurement needs."""

    def __init__(self, folder: Path, postgres: str, broker: str) -> None:
        self.folder, self.urls = folder, server_url_variables(postgres, broker)
        self.database = Database.open(postgres)
        upgrade_schema(self.database)
        self.settings = configure(folder, postgres, broker)
        self.queueing = JobFactory(self.database, Blobs(self.settings.blobs_dir))
        self._numbers = iter(range(1_000_000))
        self._workers: list[psutil.Process] = []

    def queue(self, count: int, priority: Priority) -> list[int]:
        """Queue photographs as the conductor does; return the ids of the jobs."""
        found = []
        for dataset in [lesion_dataset(next(self._numbers), size=SIZE) for _ in range(count)]:
            found.append(self.queueing.queue([dataset], UnitKind.IMAGE, priority=priority)[0])
        return found

    @contextmanager
    def worker(self, *queues: str, children: int = 1) -> Iterator[None]:
        """Run a worker within the block."""
        command = [sys.executable, "-m", "deploy.cli", "worker", "--config", str(self.folder / "node.toml"), "--queues", ",".join(queues)]
        wanted = children + self.count("SELECT count(*) FROM heartbeats WHERE role = 'worker'")
        environ = {**os.environ, **self.urls, "DICOM_NODE_WORKER__CHILDREN": str(children)}
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        self._workers.append(psutil.Process(process.pid))
        try:
            wait_until("the worker", lambda: self.count("SELECT count(*) FROM heartbeats WHERE role = 'worker'") >= wanted, 180)
            yield
        finally:
            self._workers.pop()
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    @contextmanager
    def workers_paused(self) -> Iterator[None]:
        """Pause all workers within the block."""
        those = [one for worker in self._workers for one in (worker, *worker.children(recursive=True))]
        for one in those:
            one.suspend()
        try:
            yield
        finally:
            for one in those:
                one.resume()

    @property
    def worker_processes(self) -> list[psutil.Process]:
        """The workers that run, without their children."""
        return list(self._workers)

    def count(self, query: str) -> int:
        """Return the number that a query returns."""
        return int(str(self.rows(query)[0][0]))

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of a query."""
        with self.database.begin() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def done(self) -> bool:
        """Whether every job is reported."""
        return not self.count("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')")


@contextmanager
def node(folder: Path) -> Iterator[BenchNode]:
    """Start servers and relay; yield the node."""
    postgres, broker = EmbeddedPostgres(folder / "postgres"), EmbeddedBroker(folder / "broker")
    try:
        site = BenchNode(folder, postgres.start(), broker.start())
        stop = threading.Event()
        waking = threading.Thread(target=relay.run, args=(site.settings, site.database, stop))
        waking.start()
        try:
            yield site
        finally:
            stop.set()
            waking.join(20)
            site.database.dispose()
    finally:
        broker.stop()
        postgres.stop()


def bare(jobs: int) -> Callable[[], float]:
    """Return a function that measures photographs per second through the model alone, with the threads of a worker."""
    import torch

    from models import runtime
    from tests.bench.dermoscopy import make_photograph

    torch.set_num_threads(1)
    model = runtime.load("dermoscopy_7class", device="cpu")
    items = [make_photograph(seed) for seed in range(BATCH)]
    model.warm_up()

    def run() -> float:
        began = time.perf_counter()
        for _ in range(jobs // BATCH):
            model.predict(items)
        return jobs // BATCH * BATCH / (time.perf_counter() - began)

    return run


def end_to_end(site: BenchNode, jobs: int) -> float:
    """Return photographs per second from the first claim to the last report; all are queued before."""
    with site.workers_paused():
        ids = site.queue(jobs, Priority.ROUTINE)
    wait_until("the jobs", site.done, 60 + 2 * jobs)
    query = f"SELECT extract(epoch FROM max(ended_at) - min(started_at)) FROM attempts WHERE job_id BETWEEN {ids[0]} AND {ids[-1]}"
    return jobs / float(str(site.rows(query)[0][0]))


def shares(site: BenchNode) -> str:
    """Return how the time of a job is divided."""
    medians = ", ".join(f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {one})" for one in ("prepare_s", "infer_s", "encode_s"))
    named = zip(("verified and decoded", "forward", "encoded, validated, kept"), site.rows(f"SELECT {medians} FROM jobs")[0], strict=True)
    return ", ".join(f"{name} {1000 * float(str(one)):.0f} ms" for name, one in named)


def urgent(site: BenchNode, count: int, routine: int) -> tuple[list[float], list[float]]:
    """Return seconds of urgent jobs from queued to reported: with an empty queue, and with a full routine queue."""
    with site.worker("infer.urgent"), site.worker("infer.routine"):
        alone = [_one(site) for _ in range(count)]
        site.queue(routine, Priority.ROUTINE)
        loaded = []
        while len(loaded) < count:
            if site.count("SELECT count(*) FROM jobs WHERE state = 'queued'") < routine // 4:
                site.queue(routine // 2, Priority.ROUTINE)
            loaded.append(_one(site))
    return alone, loaded


def _one(site: BenchNode) -> float:
    (job_id,) = site.queue(1, Priority.URGENT)
    query = f"SELECT extract(epoch FROM reported_at - queued_at) FROM jobs WHERE id = {job_id}"
    wait_until("an urgent job", lambda: site.rows(query)[0][0] is not None, 60, every_s=0.05)
    return float(str(site.rows(query)[0][0]))


if __name__ == "__main__":
    main()
