"""Measures the console with 100,000 studies and 1,000,000 findings: every page, the search while somebody types, open worklists.

    .venv/bin/python -m tests.bench.console --studies 100000 --findings 1000000 --rounds 30

The console and PostgreSQL are processes of their own, the database is in memory. Orthanc gets as many studies, or those that it imports
within ``--fill-s`` and a node of as many is made beside it; both answer in turns. Processor time is that of the console and of PostgreSQL
together.
"""

import asyncio
import contextlib
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median, quantiles

from db.engine import Database
from db.notify import notify
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, report
from tests.bench.console_node import FilledNode, filled_node
from tests.bench.console_pages import SEARCH, pages, typed
from tests.bench.orthanc_studies import StudyList
from tests.bench.sse_clients import keep_open
from tests.support.memory_folder import memory_folder

OPEN_WORKLISTS, OPEN_S = 200, 20.0
TARGET_MS, TARGET_CORE = 100, 20

PAGE = paired_runs.ROOT / "docs" / "measurements-console.md"


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__, page=PAGE)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--findings", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--fill-s", type=float, default=180.0, help="seconds in which Orthanc gets as many studies; 0 for no comparison")
    parser.add_argument("--keep", type=Path, help="folder in which the filled PostgreSQL stays, so that a later run need not fill it")
    parser.add_argument("--pages", default="", help="only the pages whose names contain this, and nothing else; it is not written")
    given = parser.parse_args()
    folder = memory_folder()
    folder.chmod(0o755)
    try:
        with filled_node(folder / "node", given.studies, given.findings, given.keep) as node:
            if given.pages:
                page_rows(node, given.studies, given.rounds, given.pages)
                return
            text = measure(node, given.studies, given.rounds)
            if given.fill_s:
                text += "\n\n" + beside_orthanc(folder, node, given.studies, given.fill_s, given.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(given, "console", "## Pages, search, open worklists", text, f"--rounds {given.rounds}", page=PAGE)


def measure(node: FilledNode, studies: int, rounds: int) -> str:
    """Return the tables of the pages and of open worklists."""
    rows = page_rows(node, studies, rounds)
    rows.append(typing_row(node, rounds))
    open_rows = asyncio.run(worklist_rows(node))
    held = count_findings(node.database)
    over = [str(row[0]) for row in rows if float(str(row[2])) > TARGET_MS]
    return "\n\n".join(
        (
            f"{studies:,} studies, {held:,} findings; {rounds} requests of each page, "
            f"time to the last byte. Target: p95 at most {TARGET_MS} ms"
            + (f"; missed by {len(over)} of {len(rows)}: {', '.join(over)}." if over else ", reached by every page."),
            paired_runs.markdown_table(["page", "p50, ms", "p95, ms", "processor time, ms", "of it PostgreSQL, ms"], rows),
            f"{OPEN_WORKLISTS} open worklists for {OPEN_S:.0f} s. Target: less than {TARGET_CORE} % of a core.",
            paired_runs.markdown_table(["open worklists", "console and PostgreSQL, % of a core", "lists read again"], open_rows),
        )
    ).strip()


def page_rows(node: FilledNode, studies: int, rounds: int, wanted: str = "") -> list[list[object]]:
    """Return the rows of the pages whose names contain ``wanted``."""
    return [page_row(node, name, make, rounds) for name, make in pages(studies).items() if wanted in name]


def count_findings(database: Database) -> int:
    """Return the number of findings."""
    with database.begin() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM findings").scalar_one())


def page_row(
    node: FilledNode, name: str, make: Callable[[random.Random], str], rounds: int, headers: dict[str, str] | None = None
) -> list[object]:
    """Open one page ``rounds`` times after one that is not counted."""
    chance, times = random.Random(7), []
    node.browser.get(make(chance), headers=headers)
    before = node.processor_s()
    for _ in range(rounds):
        began = time.perf_counter()
        reply = node.browser.get(make(chance), headers=headers)
        times.append((time.perf_counter() - began) * 1000)
        assert reply.status_code == 200, f"{name}: {reply.status_code}"
    console, postgres = (now - then for now, then in zip(node.processor_s(), before, strict=True))
    row = [
        name,
        f"{median(times):.0f}",
        f"{quantiles(times, n=20, method='inclusive')[-1]:.0f}",
        f"{(console + postgres) * 1000 / rounds:.0f}",
        f"{postgres * 1000 / rounds:.0f}",
    ]
    print(*row, sep="\t", file=sys.stderr)
    return list(row)


def typing_row(node: FilledNode, rounds: int) -> list[object]:
    """Ask for the lines alone after each letter, as the page does."""
    words = [word for _ in range(rounds) for word in typed()]
    letters = iter(["ya", *words])
    name = f"search while typing ({SEARCH})"
    return page_row(node, name, lambda _: f"/worklist?text={next(letters)}", len(words), {"HX-Request": "true"})


async def worklist_rows(node: FilledNode) -> list[list[object]]:
    """Hold worklists open while nothing changes, and while something changes every second; beside it the same time without any."""
    cookie = "; ".join(f"{name}={value}" for name, value in node.browser.cookies.items())
    found: list[list[object]] = []
    for name, count, changes in (
        ("none", 0, False),
        (f"{OPEN_WORKLISTS}, nothing changes", OPEN_WORKLISTS, False),
        (f"{OPEN_WORKLISTS}, something changes every second", OPEN_WORKLISTS, True),
    ):
        stop = threading.Event()
        thread = threading.Thread(target=change, args=(node.database, stop if changes else None))
        before = sum(node.processor_s())
        thread.start()
        reads = await keep_open(node.url, cookie, count=count, seconds=OPEN_S)
        stop.set()
        thread.join()
        found.append([name, f"{(sum(node.processor_s()) - before) * 100 / OPEN_S:.1f}", reads])
        print(*found[-1], sep="\t", file=sys.stderr)
    return found


def change(database: Database, stop: threading.Event | None) -> None:
    """Notify as the receiving role does, once a second; None does nothing."""
    while stop is not None and not stop.wait(1.0):
        with database.begin() as connection:
            notify(connection, "intake")


@contextlib.contextmanager
def node_of(folder: Path, node: FilledNode, studies: int, wanted: int) -> Iterator[FilledNode]:
    """Yield a node with ``wanted`` studies: the one that there is, or a new one."""
    if wanted == studies:
        yield node
        return
    with filled_node(folder / "beside", wanted, 10 * wanted) as made:
        yield made


def beside_orthanc(folder: Path, filled: FilledNode, studies: int, fill_s: float, rounds: int) -> str:
    """Return how many times faster the worklist is than Orthanc's list of as many studies, in turns."""
    with StudyList(folder / "orthanc", studies, fill_s) as orthanc, node_of(folder, filled, studies, orthanc.held) as node:
        compared = {
            "the newest 50 studies, `/tools/find`": ("/worklist", orthanc.first),
            "the newest 50 studies, QIDO-RS": ("/worklist", orthanc.first_qido),
            f"search for {SEARCH} in the name": (f"/worklist?text={SEARCH}", orthanc.search),
            "search for a name that no patient has": ("/worklist?text=zznobody", orthanc.search_unknown_name),
        }
        rows = []
        for name, (path, theirs) in compared.items():
            ask = {"dicom-node": partial(timed, partial(node.browser.get, path)), "Orthanc": partial(timed, theirs)}
            runs = paired_runs.run_in_turns(ask, rounds)
            ours = [f"{median(runs[one]):.0f}" for one in ("dicom-node", "Orthanc")]
            rows.append([name, *ours, str(paired_runs.median_ratio(runs["dicom-node"], runs["Orthanc"], better="lower"))])
    head = ["list", "worklist page, ms", "Orthanc, ms", "times faster (95 %)"]
    return (
        f"Beside Orthanc in the same run, with {orthanc.held:,} studies of one instance each (imported in at most {fill_s:.0f} s). "
        "The node has as many. The worklist answers with a whole page, Orthanc with JSON.\n\n" + paired_runs.markdown_table(head, rows)
    )


def timed(action: Callable[[], object]) -> float:
    """Return the milliseconds that ``action`` takes."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
