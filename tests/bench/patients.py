"""Measures `patients access` and `patients erase` of one person with 50 studies in a database of 100,000: time, whole tables read, locks.

    .venv/bin/python -m tests.bench.patients --studies 100000

A listener receives images of somebody else meanwhile. The database is in memory where there is room, the files are on disk.
"""

import argparse
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import event

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.patients.erasure_plan import plan_erasure
from db.patients.patient_key import PatientKey
from db.patients.patient_record import read_record
from deploy.local.database.database_roles import ADMIN, role_url
from deploy.local.embedded.postgres import EmbeddedPostgres
from dicom_node.erasure.run import run_erasure
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, report, work_folder
from tests.bench.growth import BYTES, EACH, create_database
from tests.support.records import Sender, rows, run, scalar

PAGE = paired_runs.ROOT / "docs" / "measurements-console.md"
PERSON = PatientKey("BENCH-1", "HOSPITAL A")
STUDIES = 50
SMALL_ROWS = 1_000  # a table with fewer may be read as a whole
_HASH = "encode(sha256(convert_to('{kind} ' || {id}, 'UTF8')), 'hex')"
# One person gets some studies of those that are there, with files; every fifth study is listed in a request of its source.
PREPARE = (
    f"UPDATE studies SET patient_id = '{PERSON.patient_id}', issuer_of_patient_id = '{PERSON.issuer}' WHERE id % {{every}} = 1",
    f"""UPDATE instances i SET header = header || '{{{{"patient_id": "{PERSON.patient_id}", "issuer_of_patient_id": "{PERSON.issuer}"}}}}',
        sha256 = {_HASH.format(kind="image", id="i.id")}
        FROM units u JOIN series se ON se.id = u.series_id WHERE u.id = i.unit_id AND se.study_id % {{every}} = 1""",
    f"""UPDATE reports r SET sha256 = {_HASH.format(kind="report", id="r.id")}
        FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id
        WHERE j.id = r.job_id AND se.study_id % {{every}} = 1""",
    """INSERT INTO source_commitment_requests (source, transaction_uid, sop_class_uids, sop_instance_uids, state)
       SELECT 'PACS', '2.25.' || unit_id, array_agg(sop_class_uid), array_agg(sop_instance_uid), 'answered'
       FROM instances WHERE unit_id % 5 = 1 GROUP BY unit_id""",
    "VACUUM ANALYZE",
)  # fmt: skip
_SCANS = "SELECT relname, seq_scan, n_live_tup FROM pg_stat_user_tables"
_STRONG = """
    SELECT DISTINCT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    JOIN pg_stat_activity a ON a.pid = l.pid AND a.backend_type = 'client backend'
    WHERE l.granted AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
      AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One action: seconds, transactions and the longest of them, large tables that were read as a whole, table locks, waits of others."""

    seconds: float
    transactions: int
    longest_s: float
    scanned: tuple[str, ...]
    locks: tuple[str, ...]
    received_ms: tuple[float, float]


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__, page=PAGE)
    parser.add_argument("--studies", type=int, default=100_000)
    arguments = parser.parse_args()
    needed = arguments.studies * EACH * BYTES
    where = "/dev/shm" if Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > needed else None
    with work_folder(where) as folder, work_folder() as data:
        server = EmbeddedPostgres(folder / "postgres")
        url = role_url(server.data_dir, ADMIN, urlsplit(server.start()).port or 0)
        try:
            with create_database(url, "large", arguments.studies, bulk=True) as database:
                text = measure_person(database, data, arguments)
        finally:
            server.stop()
    report(arguments, "patients", "## One person in a large database", text, f"--studies {arguments.studies}", page=PAGE)


def measure_person(database: Database, data: Path, arguments: argparse.Namespace) -> str:
    """Return the section."""
    settings = Settings.model_validate({"node": {"data_dir": str(data)}})
    blobs = prepare(database, settings, arguments.studies // STUDIES)
    url = database.engine.url.render_as_string(hide_password=False)
    found: dict[str, Measured] = {}

    def access(one: Database) -> None:
        read_record(one, PERSON, actor="cli:bench", with_images=False)

    def erase(one: Database) -> None:
        plan = plan_erasure(one, PERSON)
        run_erasure(settings, one, blobs, PERSON, plan, [], actor="cli:bench", reason="bench", cancel=True, whole_studies=False)

    actions: dict[str, Callable[[Database], object]] = {
        "`patients access`": access,
        "`patients erase --dry-run`": lambda one: plan_erasure(one, PERSON),
        "`patients erase`": erase,
    }
    alone = received(database, lambda: time.sleep(5.0))
    for name, act in actions.items():
        found[name] = measured(url, database, act)
    left = int(str(scalar(database, f"SELECT count(*) FROM studies WHERE patient_id = '{PERSON.patient_id}'")))
    assert left == 0, f"{left} studies are left"
    index = received_with_and_without_the_index(database)
    head = ["", "s", "transactions", "longest, ms", "large tables read as a whole", "table locks beyond those of rows"]
    head.append("receiving meanwhile, ms")
    table = [
        [
            name, f"{one.seconds:.2f}", one.transactions, f"{one.longest_s * 1000:.0f}", ", ".join(one.scanned) or "none",
            ", ".join(one.locks) or "none", f"{one.received_ms[0]:.1f}, at most {one.received_ms[1]:.0f}",
        ]
        for name, one in found.items()
    ]  # fmt: skip
    return (
        f"{arguments.studies:,} studies of {EACH} instances, analysed, reported and delivered to two destinations; each fifth is in a "
        f"storage commitment request. One person has {STUDIES} of them, with a file for each image and report. Meanwhile a listener "
        f"receives images of another person, one after the other (median and longest; alone {alone[0]:.1f}, at most {alone[1]:.0f} ms).\n\n"
        f"{paired_runs.markdown_table(head, table)}\n\n"
        f"An image is received in {index[0]:.2f} ms, without the index of images by Patient ID in {index[1]:.2f} ms (medians of 2,000)."
    )


def prepare(database: Database, settings: Settings, every: int) -> Blobs:
    """Give the person studies and files; return the blobs."""
    began = time.monotonic()
    for statement in PREPARE[:-1]:
        run(database, statement.format(every=every))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(PREPARE[-1])
    blobs = Blobs(settings.blobs_dir)
    of_person = f"""FROM instances i JOIN units u ON u.id = i.unit_id JOIN series se ON se.id = u.series_id
                    JOIN studies st ON st.id = se.study_id WHERE st.patient_id = '{PERSON.patient_id}'"""
    for (id,) in rows(database, f"SELECT i.id {of_person}"):
        blobs.put(f"image {id}".encode())
    for (id,) in rows(database, "SELECT id FROM reports WHERE length(sha256) = 64"):
        blobs.put(f"report {id}".encode())
    database.engine.dispose()  # what its connections have counted so far is in the statistics then
    time.sleep(2.0)
    print(f"prepared in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return blobs


def measured(url: str, database: Database, act: Callable[[Database], object]) -> Measured:
    """Do something on connections of its own, whose end gives its figures to the statistics, and look at it from another one."""
    before = {str(name): int(str(scans)) for name, scans, _ in rows(database, _SCANS)}
    locks: set[str] = set()
    durations: list[float] = []
    seconds = 0.0

    def timed() -> None:
        nonlocal seconds
        with Database.open(url, pool_size=2) as one, transactions_of(one, durations):
            began = time.perf_counter()
            act(one)
            seconds = time.perf_counter() - began

    with sampled(database, lambda: locks.update(f"{name}: {mode}" for name, mode in rows(database, _STRONG))):
        meanwhile = received(database, timed)
    time.sleep(2.0)  # the statistics of a connection are there when it has ended
    after = [(str(name), int(str(scans)), int(str(live))) for name, scans, live in rows(database, _SCANS)]
    scanned = [name for name, scans, live in after if scans > before[name] and live > SMALL_ROWS]
    return Measured(seconds, len(durations), max(durations), tuple(sorted(scanned)), tuple(sorted(locks)), meanwhile)


@contextmanager
def transactions_of(database: Database, durations: list[float]) -> Iterator[None]:
    """Append how long each transaction took."""
    began: dict[int, float] = {}

    def on_begin(connection: Any) -> None:
        began[id(connection)] = time.perf_counter()

    def on_commit(connection: Any) -> None:
        durations.append(time.perf_counter() - began.pop(id(connection)))

    event.listen(database.engine, "begin", on_begin)
    event.listen(database.engine, "commit", on_commit)
    try:
        yield
    finally:
        event.remove(database.engine, "begin", on_begin)
        event.remove(database.engine, "commit", on_commit)


@contextmanager
def sampled(database: Database, sample: Callable[[], None]) -> Iterator[None]:
    """Take samples in a thread until the block ends."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(0.02):
            sample()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


_numbers = count(1)


def received(database: Database, act: Callable[[], None]) -> tuple[float, float]:
    """Receive images one after the other while something is done; return the median and the longest time of one, in ms."""
    sender, times, thread = Sender(database, lease_s=36_000), [], threading.Thread(target=act)
    thread.start()
    while thread.is_alive() or not times:
        times.append(send_one(sender))
    thread.join()
    return median(times), max(times)


def send_one(sender: Sender) -> float:
    """Receive one image; return the time that it took, in ms."""
    number = next(_numbers)
    began = time.perf_counter()
    sender.send(number, series="1.9.9.1", study="1.9.9", patient_id="SOMEBODY-ELSE")
    return (time.perf_counter() - began) * 1000


def received_with_and_without_the_index(database: Database) -> tuple[float, float]:
    """Return the median time of an image with and without the index by Patient ID, in ms, in turns."""
    sender = Sender(database, lease_s=36_000)
    times: dict[bool, list[float]] = {True: [], False: []}
    definition = str(scalar(database, "SELECT pg_get_indexdef('instances_of_patient'::regclass)"))
    for _ in range(4):
        for with_index in (True, False):
            if not with_index:
                run(database, "DROP INDEX instances_of_patient")
            times[with_index] += [send_one(sender) for _ in range(500)]
            if not with_index:
                run(database, definition)
    return median(times[True]), median(times[False])


if __name__ == "__main__":
    main()
