"""A node's database with many studies and its console, each in processes of their own, for benchmarks."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from db.engine import Database
from db.schema.upgrade import upgrade_schema
from deploy.local.database.database_roles import ADMIN, NODE, read_password, role_url
from deploy.local.embedded.postgres import EmbeddedPostgres
from tests.support.console import Browser, add_users
from tests.support.many_studies import fill_many_studies

FILLED = "filled"
"""The file that says that the PostgreSQL beside it has been filled completely."""


@dataclass(frozen=True, slots=True)
class FilledNode:
    """The database, the console, and a browser that an administrator has signed in."""

    database: Database
    url: str
    browser: Browser
    processes: tuple[int, int]

    def processor_s(self) -> tuple[float, float]:
        """Return the processor time of the console and of PostgreSQL so far."""
        console, postgres = self.processes
        return processor_s(console), processor_s(postgres)


@contextlib.contextmanager
def filled_node(folder: Path, studies: int, findings: int, kept: Path | None = None) -> Iterator[FilledNode]:
    """Fill a new PostgreSQL in ``folder`` and start a console on it; ``kept`` is a folder whose PostgreSQL is filled only once."""
    for made in (folder, kept):
        if made is not None:
            made.mkdir(exist_ok=True)
            made.chmod(0o755)
    server = EmbeddedPostgres((kept or folder) / "postgres")
    url = server.start()
    database, admin = Database.open(url), Database.open(role_url(server.data_dir, ADMIN, urlsplit(url).port or 0))
    try:
        upgrade_schema(admin, (NODE, read_password(server.data_dir, NODE)))
        if kept is None or not (kept / FILLED).exists():
            fill_many_studies(admin, studies=studies, findings=findings)
            add_users(database)
            if kept is not None:
                (kept / FILLED).write_text(f"{studies} studies, {findings} findings\n")
        _settle(admin)
        postgres = int((server.cluster / "postmaster.pid").read_text().splitlines()[0])
        with console_process(url, folder) as (address, pid), Browser(base_url=address, timeout=120) as browser:
            browser.open("/sign-in")
            browser.sign_in("admin")
            yield FilledNode(database, address, browser, (pid, postgres))
    finally:
        database.dispose()
        admin.dispose()
        server.stop()


def _settle(admin: Database) -> None:
    """Write everything out and end autovacuum, whose work on the new rows would be counted as that of pages."""
    with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in ("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()", "VACUUM ANALYZE", "CHECKPOINT"):
            connection.exec_driver_sql(statement)


@contextlib.contextmanager
def console_process(database_url: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Run the console in a process of its own; yield its address and its process id."""
    (folder / "data").mkdir()
    command = [sys.executable, "-m", "tests.bench.console_process", str(folder / "data")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(database_url + "\n")
    process.stdin.flush()
    try:
        lines = iter(process.stdout.readline, "")
        yield next(line for line in lines if line.startswith("http")).strip(), process.pid
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def processor_s(pid: int) -> float:
    """Return the processor time of a process and its children so far, also of those that have ended: their time does not leave the sum."""
    root, total = psutil.Process(pid), 0.0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
