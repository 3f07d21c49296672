"""Measures the frequent queries of a node with a thousand and with a million instances: they must not become slower.

make bench SECTION=growth
make bench SECTION=growth ARGS="--studies 1000000 --rounds 3"        # 10 million instances, on disk: 30 GB
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psycopg2

from db.engine import Database
from db.schema.upgrade import upgrade_schema
from deploy.local.database.database_roles import ADMIN, role_url
from deploy.local.embedded.postgres import EmbeddedPostgres
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, work_folder
from tests.support.large_database import fill_database, frequent_queries

EACH = 10  # instances of a study
BYTES = 3_000  # of an instance in the database, with the log of its writes
BULK = 200_000  # studies from which on the indexes are built at the end


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=20, help="executions of each query per round; their median counts")
    arguments = parser.parse_args()
    # In memory where there is room: the disk would only add to both.
    in_memory = Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > arguments.studies * EACH * BYTES
    where, arguments.on_disk = ("/dev/shm", False) if in_memory else (None, True)
    with work_folder(where) as folder, on_one_processor():
        server = EmbeddedPostgres(folder / "postgres")
        url = role_url(server.data_dir, ADMIN, urlsplit(server.start()).port or 0)  # it creates databases
        try:
            with create_database(url, "small", 100) as small, create_database(url, "large", arguments.studies) as large:
                rows = measure(small, large, arguments)
        finally:
            server.stop()
    write(rows, arguments)


@contextmanager
def on_one_processor() -> Iterator[None]:
    """Run client and server on one processor: on different ones, the wake-ups between them take longer than the shortest query."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)


def create_database(url: str, name: str, studies: int, *, bulk: bool = False) -> Database:
    """Create and fill a database."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    database = Database.open(url.rsplit("/", 1)[0] + f"/{name}")
    upgrade_schema(database)
    began = time.monotonic()
    fill_database(database, studies=studies, each=EACH, bulk=bulk or studies >= BULK)
    print(f"{name}: {studies * EACH} instances in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return database


def measure(small: Database, large: Database, arguments: argparse.Namespace) -> list[list[str]]:
    """Return the rows of the table."""
    few, many = frequent_queries(small), frequent_queries(large)
    rows = []
    for name in few:
        contestants = {"small": median_time(few[name], arguments.repeats), "large": median_time(many[name], arguments.repeats)}
        runs = paired_runs.run_in_turns(contestants, arguments.rounds)
        grows = paired_runs.median_ratio(runs["large"], runs["small"], better="lower")  # small over large
        ours = f"{1 / grows.value:.2f} ({1 / grows.high:.2f} to {1 / grows.low:.2f})"
        rows.append([name, *(paired_runs.format_spread([1000 * one for one in runs[size]], 2) for size in ("small", "large")), ours])
    return rows


def write(rows: list[list[str]], arguments: argparse.Namespace) -> None:
    """Write the section."""
    place = "on disk" if arguments.on_disk else "in memory"
    head = ["query", f"{100 * EACH:,} instances, ms", f"{arguments.studies * EACH:,} instances, ms", "times (95 %)"]
    text = (
        f"## Growth of the index\n\n{arguments.studies:,} studies of {EACH} instances, analysed, reported and delivered to two "
        f"destinations, against 100 such studies on the same server; {arguments.rounds} rounds in turns of {arguments.repeats} executions, "
        f"median of a "
        f"round. Through the functions that the roles use, transaction and commit included; the database {place}, "
        f"both ends on one processor.\n\n"
        f"{paired_runs.markdown_table(head, rows)}\n\n{paired_runs.describe_conditions('make bench SECTION=growth')}"
    )
    paired_runs.write_section("growth", text)
    print(text)


def median_time(ask: Callable[[], object], repeats: int) -> Callable[[], float]:
    """Return a function that measures the median of several executions, in seconds."""

    def run() -> float:
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            ask()
            times.append(time.perf_counter() - began)
        return median(times)

    return run


if __name__ == "__main__":
    main()
