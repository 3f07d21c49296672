"""Measures the console with 100,000 studies and 1,000,000 findings: every page, the search while somebody types, open worklists.

    .venv/bin/python -m tests.bench.console --studies 100000 --findings 1000000 --rounds 30

The console and PostgreSQL are processes of their own, the database is in memory. Orthanc has a study list of the same length, and both
answer in turns. Processor time is that of the console and of PostgreSQL together.
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

import psutil

from db.engine import Database
from db.notify import notify
from db.schema.upgrade import upgrade_schema
from deploy.local.database_roles import ADMIN, NODE, read_password, role_url
from deploy.local.embedded_postgres import EmbeddedPostgres
from tests.bench import paired_runs
from tests.bench.console_pages import SEARCH, pages, typed
from tests.bench.orthanc_studies import StudyList
from tests.bench.sse_clients import keep_open
from tests.support.console import Browser, add_users
from tests.support.many_studies import fill_many_studies
from tests.support.services import memory_folder

OPEN_WORKLISTS, OPEN_S = 200, 20.0
TARGET_MS, TARGET_CORE = 100, 20


def main() -> None:
    """Run the benchmark and write its section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--findings", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--orthanc", type=int, default=None, help="studies in Orthanc, as many as in the node where it is not given; 0 for none"
    )
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True, help="into docs/measurements.md")
    given = parser.parse_args()
    folder = memory_folder()
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres")
    url = server.start()
    database, admin = Database.open(url), Database.open(role_url(server.data_dir, ADMIN, urlsplit(url).port or 0))
    try:
        upgrade_schema(admin, (NODE, read_password(server.data_dir, NODE)))
        fill_many_studies(admin, studies=given.studies, findings=given.findings)
        add_users(database)
        text = measure(database, folder, given.studies, given.rounds, given.studies if given.orthanc is None else given.orthanc)
    finally:
        database.dispose()
        admin.dispose()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(text)
    if given.write:
        command = f"make bench SECTION=console ARGS='--rounds {given.rounds}'"
        paired_runs.write_section("console", f"## Console\n\n{paired_runs.describe_conditions(command)}\n\n{text}")


def measure(database: Database, folder: Path, studies: int, rounds: int, in_orthanc: int) -> str:
    """Return the tables of all measurements."""
    postgres = int(next(folder.rglob("postmaster.pid")).read_text().splitlines()[0])
    with console_process(database, folder) as (url, pid), Browser(base_url=url, timeout=120) as browser:
        used = lambda: processor_s(pid) + processor_s(postgres)  # noqa: E731
        browser.open("/sign-in")
        browser.sign_in("admin")
        rows = [page_row(name, browser, make, rounds, used) for name, make in pages(studies).items()]
        rows.append(typing_row(browser, rounds, used))
        open_rows = asyncio.run(worklist_rows(database, url, browser, used))
        beside = "" if not in_orthanc else beside_orthanc(browser, folder, in_orthanc, rounds)
    over = [str(row[0]) for row in rows if float(str(row[2])) > TARGET_MS]
    return "\n\n".join(
        (
            f"{studies:,} studies, {findings(database):,} findings, the database in memory; {rounds} requests of each page, "
            f"time to the last byte. Target: p95 at most {TARGET_MS} ms"
            + (f"; missed by: {', '.join(over)}." if over else ", reached by every page."),
            paired_runs.markdown_table(["page", "p50, ms", "p95, ms", "processor time, ms"], rows),
            f"{OPEN_WORKLISTS} open worklists for {OPEN_S:.0f} s. Target: less than {TARGET_CORE} % of a core.",
            paired_runs.markdown_table(["open worklists", "console and PostgreSQL, % of a core", "lists read again"], open_rows),
            beside,
        )
    ).strip()


def findings(database: Database) -> int:
    """Return the number of findings."""
    with database.begin() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM findings").scalar_one())


@contextlib.contextmanager
def console_process(database: Database, folder: Path) -> Iterator[tuple[str, int]]:
    """Run the console in a process of its own; yield its address and its process id."""
    (folder / "data").mkdir()
    command = [sys.executable, "-m", "tests.bench.console_process", str(folder / "data")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(database.engine.url.render_as_string(hide_password=False) + "\n")
    process.stdin.flush()
    try:
        lines = iter(process.stdout.readline, "")
        yield next(line for line in lines if line.startswith("http")).strip(), process.pid
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def processor_s(pid: int) -> float:
    """Return the processor time of a process and its children so far."""
    root, total = psutil.Process(pid), 0.0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def page_row(
    name: str,
    browser: Browser,
    make: Callable[[random.Random], str],
    rounds: int,
    used: Callable[[], float],
    headers: dict[str, str] | None = None,
) -> list[object]:
    """Open one page ``rounds`` times after one that is not counted."""
    chance, times = random.Random(7), []
    browser.get(make(chance), headers=headers)
    before = used()
    for _ in range(rounds):
        began = time.perf_counter()
        reply = browser.get(make(chance), headers=headers)
        times.append((time.perf_counter() - began) * 1000)
        assert reply.status_code == 200, f"{name}: {reply.status_code}"
    row = [name, f"{median(times):.0f}", f"{quantiles(times, n=20)[-1]:.0f}", f"{(used() - before) * 1000 / rounds:.0f}"]
    print(*row, sep="\t", file=sys.stderr)
    return list(row)


def typing_row(browser: Browser, rounds: int, used: Callable[[], float]) -> list[object]:
    """Ask for the lines alone after each letter, as the page does."""
    words = [word for _ in range(rounds) for word in typed()]
    letters = iter(["ya", *words])
    return page_row(
        f"search while typing ({SEARCH})", browser, lambda _: f"/worklist?text={next(letters)}", len(words), used, {"HX-Request": "true"}
    )


async def worklist_rows(database: Database, url: str, browser: Browser, used: Callable[[], float]) -> list[list[object]]:
    """Hold worklists open while nothing changes, and while something changes every second."""
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    found: list[list[object]] = []
    for name, changes in (("nothing changes", False), ("something changes every second", True)):
        stop = threading.Event()
        thread = threading.Thread(target=change, args=(database, stop))
        before = used()
        if changes:
            thread.start()
        reads = await keep_open(url, cookie, count=OPEN_WORKLISTS, seconds=OPEN_S)
        stop.set()
        if changes:
            thread.join()
        found.append([name, f"{(used() - before) * 100 / OPEN_S:.0f}", reads])
        print(*found[-1], sep="\t", file=sys.stderr)
    return found


def change(database: Database, stop: threading.Event) -> None:
    """Notify as the receiving role does, once a second."""
    while not stop.wait(1.0):
        with database.begin() as connection:
            notify(connection, "intake")


def beside_orthanc(browser: Browser, folder: Path, studies: int, rounds: int) -> str:
    """Return how many times faster the worklist is than Orthanc's list of as many studies, in turns."""
    with StudyList(folder / "orthanc", studies) as orthanc:
        compared = {
            "the newest 50 studies, `/tools/find`": ("/worklist", orthanc.first),
            "the newest 50 studies, QIDO-RS": ("/worklist", orthanc.first_qido),
            f"search for {SEARCH} in the name": (f"/worklist?text={SEARCH}", orthanc.search),
            "search for a name that nobody has": ("/worklist?text=zznobody", orthanc.search_nobody),
        }
        rows = []
        for name, (path, theirs) in compared.items():
            runs = paired_runs.run_in_turns(
                {"dicom-node": lambda path=path: timed(lambda: browser.get(path)), "Orthanc": lambda theirs=theirs: timed(theirs)}, rounds
            )
            ours = [f"{median(runs[one]):.0f}" for one in ("dicom-node", "Orthanc")]
            rows.append([name, *ours, str(paired_runs.median_ratio(runs["dicom-node"], runs["Orthanc"], better="lower"))])
    head = ["list", "worklist page, ms", "Orthanc, ms", "times faster (95 %)"]
    return (
        f"Beside Orthanc with {studies:,} studies of one instance each, in the same run. The worklist answers with a whole page.\n\n"
        + paired_runs.markdown_table(head, rows)
    )


def timed(action: Callable[[], object]) -> float:
    """Return the milliseconds that ``action`` takes."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
