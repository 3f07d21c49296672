"""Measures where the time of one received instance goes, on one association, and the bound that two flushes in a row set.

    make bench SECTION=receive_budget

The listener runs with time stamps (`tests.bench.receive_budget.traced_listener`). In turns with it: storescu against a storescp that
stores nothing, which is the time of the sender and the socket alone, and the two flushes alone. The page is docs/measurements-receive.md.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.bench import paired_runs
from tests.bench.benchmark import command_line, report, work_folder
from tests.bench.receive import make_copies, read_templates, store
from tests.bench.receive_budget.flush_times import commits_ms, file_flushes_ms
from tests.bench.receive_targets import Target, listener, run_server
from tests.support.memory_folder import memory_folder

PAGE = paired_runs.ROOT / "docs" / "measurements-receive.md"
WARM_UP = 20  # instances of the first association, which are not counted
SENDER = "the sender reads and encodes the next instance"
# Name of a stamp, and where its time belongs; the others of a prefix go to its last line.
GROUPS = {
    "after the answer: file closed": "of the last instance, after its answer: file closed, temporary name removed",
    "peer: waited for": "the sender sends it: waiting for its bytes",
    "receive: read from the socket": "bytes copied from the socket",
    "receive: PDUs passed on": "PDUs, command and fragments passed on (Python)",
    "spool: hashed and written": "hashed, and written to the page cache",
    "receive.whole": "spool file ended, free space checked",
    "blob.written": "header read and checked, lease found",
    "blob.linked": "file linked to its name",
    "receive.grouped": "group formed",
    "admission: grouped": "group formed",
    "admission: rows encoded and sent": "rows encoded and sent to PostgreSQL",
    "file: before fsync": "file linked to its name",
    "file: fsync": "fsync of the file (PostgreSQL writes the rows meanwhile)",
    "blob.fsynced": "thread running again, group checked",
    "receive.synced": "thread running again, group checked",
    "admission: before the answer of PostgreSQL": "thread running again, group checked",
    "admission: rows written": "waiting for the rows, after the fsync",
    "admission: commit": "COMMIT of PostgreSQL (its fsync)",
    "receive.committed": "result read, waiting associations notified",
    "receive.kept": "result read, waiting associations notified",
    "answer: encoded": "answer encoded and sent",
    "answer: sent": "answer encoded and sent",
}
ORDER = tuple(dict.fromkeys([GROUPS["after the answer: file closed"], SENDER, *GROUPS.values()]))
Steps = list[tuple[str, float, float]]


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__, page=PAGE)
    parser.add_argument("--instances", type=int, default=240, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["TCP_NODELAY"] = "1"
    with work_folder() as folder:
        text = measure(folder, arguments.instances, arguments.rounds)
    options = f"--instances {arguments.instances} --rounds {arguments.rounds}"
    report(arguments, "receive_budget", "## The time of one instance", text, options, page=PAGE)


def measure(folder: Path, instances: int, rounds: int) -> str:
    """Return the section."""
    templates, trace = read_templates(folder / "source"), folder / "trace.json"
    alone_ms: list[float] = []
    flushes: dict[str, list[float]] = {"file": [], "file in a new folder": [], "commit": []}
    program = ("tests.bench.receive_budget.traced_listener", str(trace))
    ignoring = ["/usr/bin/storescp", "--fork", "--ignore"]
    with listener(folder, 1, program) as running, run_server(lambda port: [*ignoring, str(port)]) as ignoring_port:
        send(templates, running.target, WARM_UP)
        for number in range(rounds):
            send(templates, running.target, instances)
            alone_ms.append(send(templates, ("STORESCP", ignoring_port), instances))
            flushes["file"] += file_flushes_ms(folder / f"files-{number}", instances // 4)
            flushes["file in a new folder"] += file_flushes_ms(folder / f"folders-{number}", instances // 4, new_folders=True)
            flushes["commit"] += commits_ms(running.database_url, instances // 4)
    traced = [json.loads(line) for line in trace.read_text().splitlines()][WARM_UP + 1 :]
    return describe(traced, median(alone_ms), {name: median(took) for name, took in flushes.items()})


def send(templates: list[tuple[bytes, str, str]], target: Target, instances: int) -> float:
    """Return the milliseconds per instance of one association that sends so many."""
    sent = memory_folder()
    try:
        sets = make_copies(templates, sent, instances, 1)
        os.sync()  # writes what the others left in the page cache
        return store(sets, target) * 1000 / instances
    finally:
        shutil.rmtree(sent)


def lines_of(steps: Steps) -> dict[str, tuple[float, float]]:
    """Return milliseconds and processor time of one instance by line of the table."""
    found = dict.fromkeys(ORDER, (0.0, 0.0))
    answers = 0
    began = False
    for name, clock, used in steps:
        if name == "admission: answer of PostgreSQL":
            answers += 1
            name = "admission: rows written" if answers == 1 else "admission: commit"
        line = SENDER if name == "peer: waited for" and not began else GROUPS[name]
        began = began or name == "receive: read from the socket"
        found[line] = (found[line][0] + clock, found[line][1] + used)
    return found


def describe(traced: Sequence[Steps], alone_ms: float, flush_ms: dict[str, float]) -> str:
    """Return the table and the bound."""
    instances = [lines_of(steps) for steps in traced]
    typical = [(line, median(one[line][0] for one in instances), median(one[line][1] for one in instances)) for line in ORDER]
    total, used = sum(row[1] for row in typical), sum(row[2] for row in typical)
    rows = [[line, f"{clock:.2f}", f"{cpu:.2f}"] for line, clock, cpu in typical if clock or cpu]
    rows.append(["sum of the medians", f"{total:.2f}", f"{used:.2f}"])
    table = paired_runs.markdown_table(["step, in order", "ms", "of which processor, ms"], rows)
    bound = alone_ms + flush_ms["file"] + flush_ms["commit"]
    return (
        f"{len(instances)} CT slices of 0.53 MB on one association, storescu as sender; medians of each step.\n\n{table}\n\n"
        f"**Bound.** storescu needs {alone_ms:.2f} ms per instance against a storescp that stores nothing. The fsync of a file of that "
        f"size alone takes {flush_ms['file']:.2f} ms ({flush_ms['file in a new folder']:.2f} ms where its folder is new too), and "
        f"a COMMIT alone {flush_ms['commit']:.2f} ms. They follow each other: bytes, then row, then Success, and only then the sender "
        f"begins the next one. So no node that keeps this order, with this sender and disk, is faster than {bound:.2f} ms per instance, "
        f"{1000 / bound:.0f}/s. The table's sum is {total / bound:.2f} times that."
    )


if __name__ == "__main__":
    main()
