"""Receive rate in pairs: dicom-node, Orthanc, DCMTK's storescp and pynetdicom's, the same files, the same sender (DCMTK's storescu).

    make bench SECTION=receive ARGS="--rounds 5 --associations 1 8"

dicom-node answers when the bytes and the row are on disk. Orthanc by default waits for the bytes (one fdatasync) and not for its index
(SQLite, WAL, synchronous=NORMAL), as strace shows; with its index in PostgreSQL (Debian's orthanc-postgresql, where that is installed) for
both. The two storescp wait for neither.
TCP_NODELAY=1 is set for every process: without it storescp waits for Nagle's algorithm (22/s instead of 1,200/s).

What is sent lies in memory. On the disk, as the next run's input takes the place of the last one's, everybody's new files cost a search:
ext4 does not take the number of a file again that was removed within the last minutes, and looks at each (find_inode_bit,
recently_deleted: a quarter of the listener's processor time). For the same reason nothing is removed before the end, and the figures are
worth little where much was removed on that disk within five minutes.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydicom import dcmread
from pydicom.uid import UID
from sqlalchemy import make_url

from core.errors import ConfigurationError
from db.engine import Database
from db.schema.upgrade import upgrade_schema
from deploy.demo.inputs import CT_SERIES, data_folder
from deploy.demo.pacs.interface import AE_TITLE
from deploy.demo.pacs.orthanc import Orthanc
from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.local.embedded_postgres import EmbeddedPostgres
from deploy.local.ports import accepts_connections, free_port
from tests.bench import pairs
from tests.support.services import memory_folder

Target = tuple[str, int]  # AE title, port
Peer = Callable[[Path], AbstractContextManager[Target]]
OURS = ("dicom-node", "dicom-node, 2 processes")
DURABLE = (
    "bytes and row on disk before Success. Orthanc by default waits for its bytes (fdatasync) and not for its index (SQLite, "
    "synchronous=NORMAL); with its index in PostgreSQL it waits for both. DCMTK's and pynetdicom's storescp wait for neither"
)
POSTGRESQL = Path("/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so")  # where Debian's orthanc-postgresql puts it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=960, help="of a run, over all associations")
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True, help="into docs/measurements.md and docs/pictures")
    arguments = parser.parse_args()
    for program in ("/usr/bin/storescu", "/usr/bin/storescp"):
        if not Path(program).exists():
            raise SystemExit(f"{program} is missing: apt-get install dcmtk")
    os.environ["TCP_NODELAY"] = "1"
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-bench-"))
    folder.chmod(0o755)
    try:
        found = measure(folder, arguments.instances, arguments.associations, arguments.rounds)
    finally:
        shutil.rmtree(folder)
    text = report(found, arguments.instances)
    print(text)
    if arguments.write:
        command = f'make bench SECTION=receive ARGS="--instances {arguments.instances} --rounds {arguments.rounds}"'
        groups = {f"{number} association{'s' if number > 1 else ''}": runs for number, runs in found.items()}
        image = f"![Receive rates](pictures/{pairs.plot('receive', groups, 'instances of 0.53 MB per second').name})"
        pairs.write_section("receive", f"## Receive\n\n{pairs.circumstances(command)}\n\n{text}\n\n{image}")


def measure(folder: Path, instances: int, associations: list[int], rounds: int) -> dict[int, pairs.Runs]:
    """Rates by number of associations; everybody is up all the time, and idle but for who has its turn."""
    templates = templates_of(folder / "source")
    peers: dict[str, Peer] = {
        OURS[0]: lambda place: node(place, 1),
        OURS[1]: lambda place: node(place, 2),
        "Orthanc": orthanc,
        **({"Orthanc, index in PostgreSQL": orthanc_postgresql} if POSTGRESQL.is_file() else {}),
        "DCMTK storescp": storescp,
        "pynetdicom storescp": pynetdicom_storescp,
    }
    with ExitStack() as stack:
        targets = {}
        for number, (name, peer) in enumerate(peers.items()):
            place = folder / str(number)
            place.mkdir(mode=0o755)
            targets[name] = stack.enter_context(peer(place))

        def run(target: Target, number: int) -> float:
            sent = memory_folder()
            try:
                sets = copies(templates, sent, instances // number, number)
                os.sync()  # what others left in the page cache is not this one's to write
                seconds = store(sets, target)
            finally:
                shutil.rmtree(sent)
            return number * (instances // number) / seconds

        return {
            number: pairs.alternate({name: lambda t=target, n=number: run(t, n) for name, target in targets.items()}, rounds)  # type: ignore[misc]
            for number in associations
        }


def report(found: dict[int, pairs.Runs], instances: int) -> str:
    lines = [f"{instances} CT slices of 0.53 MB a run, {DURABLE}.", ""]
    for number, runs in found.items():
        head = [f"{number} association{'s' if number > 1 else ''}", "instances/s: median (range)", *(f"{ours} / it" for ours in OURS)]
        rows = [
            [name, pairs.spread(figures), *("" if name in OURS else pairs.ratio(runs[ours], figures, better="higher") for ours in OURS)]
            for name, figures in runs.items()
        ]
        lines += [pairs.table(head, rows), ""]
    return "\n".join(lines).strip()


def templates_of(folder: Path) -> list[tuple[bytes, str, str]]:
    """Slices of the real series, or of a synthetic chest: (file, SOP instance, series), UIDs of one length to be replaced in the bytes."""
    data = data_folder()
    if data is not None and (data / "ct" / CT_SERIES).is_dir():
        sources = sorted((data / "ct" / CT_SERIES).glob("*.dcm"))
    else:
        sources = write_chest(folder, make_chest(1, slices=60, diameters_mm=()))
    found = []
    folder.mkdir(exist_ok=True)
    for index, source in enumerate(sources):
        dataset = dcmread(source)
        sop, series = f"2.25.1{index:037d}", f"2.25.2{0:037d}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(sop)
        dataset.SeriesInstanceUID = UID(series)
        dataset.save_as(folder / "one.dcm")
        found.append(((folder / "one.dcm").read_bytes(), sop, series))
    return found


_drawn = 0


def copies(templates: list[tuple[bytes, str, str]], folder: Path, instances: int, sets: int) -> list[Path]:
    """New instances for one run, one folder and one series for each association."""
    global _drawn
    folders = []
    for number in range(sets):
        _drawn += 1
        target = folder / f"set{number}"
        target.mkdir(parents=True)
        folders.append(target)
        for index in range(instances):
            content, sop, series = templates[index % len(templates)]
            content = content.replace(sop.encode(), f"2.25.1{_drawn * 100_000 + index:037d}".encode())
            (target / f"{index:05d}.dcm").write_bytes(content.replace(series.encode(), f"2.25.2{_drawn:037d}".encode()))
    return folders


def store(folders: list[Path], target: Target) -> float:
    """Seconds until every storescu has its last answer."""
    title, port = target
    commands = [["/usr/bin/storescu", "-aet", "BENCH", "-aec", title, "+sd", "127.0.0.1", str(port), str(folder)] for folder in folders]
    began = time.monotonic()
    senders = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for command in commands]
    for sender in senders:
        _, errors = sender.communicate()
        if sender.returncode != 0:
            raise SystemExit(f"storescu failed against {title}: {errors.decode(errors='replace')[-500:]}")
    return time.monotonic() - began


@contextmanager
def node(folder: Path, processes: int) -> Iterator[Target]:
    """The role ``listen`` alone, with PostgreSQL: what a C-STORE costs until its answer."""
    with listener(folder, processes) as (target, _):
        yield target


@contextmanager
def listener(folder: Path, processes: int) -> Iterator[tuple[Target, int]]:
    """As `node`, and the process."""
    server, port = EmbeddedPostgres(folder / "postgresql"), free_port()
    url = server.start()
    try:
        database = Database.open(url)
        upgrade_schema(database)
        config = folder / "node.toml"
        config.write_text(
            f'[node]\ndata_dir = "{folder / "data"}"\nport = {port}\nprocesses = {processes}\n'
            f"[receive]\nmin_free_bytes = 0\nmax_waiting = 0\n"
            f'[database]\nurl = "{url}"\n[logs]\nlevel = "warning"\n[[sources]]\nae_title = "BENCH"\nhost = "127.0.0.1"\n'
        )
        process = subprocess.Popen([sys.executable, "-m", "deploy.cli", "listen", "--config", str(config)])
        try:
            wait_for(port)
            if processes > 1:
                wait_for_siblings(database, processes)
            yield ("DICOMNODE", port), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            database.dispose()
    finally:
        server.stop()


def wait_for_siblings(database: Database, processes: int) -> None:
    from db.roles.heartbeats import alive

    deadline = time.monotonic() + 60
    while sum(beat.role == "listen" for beat in alive(database, 60)) < processes:
        if time.monotonic() > deadline:
            raise SystemExit("the listener's processes did not come up")
        time.sleep(0.1)


@contextmanager
def storescp(folder: Path) -> Iterator[Target]:
    with serving(lambda port: ["/usr/bin/storescp", "--fork", "-od", str(folder), str(port)]) as port:
        yield "STORESCP", port


@contextmanager
def pynetdicom_storescp(folder: Path) -> Iterator[Target]:
    with serving(lambda port: [sys.executable, "-m", "pynetdicom", "storescp", str(port), "-od", str(folder), "-q"]) as port:
        yield "STORESCP", port


@contextmanager
def serving(command: Callable[[int], list[str]]) -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen(command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def orthanc_postgresql(folder: Path) -> Iterator[Target]:
    """Orthanc as a site runs it that wants its index to outlive a power loss; its files stay in the file system."""
    server = EmbeddedPostgres(folder / "postgresql")
    url = make_url(server.start())
    try:
        index = {"EnableIndex": True, "EnableStorage": False, "Lock": False, "Host": url.host, "Port": url.port, "Database": url.database}
        more = {"Plugins": [str(POSTGRESQL)], "PostgreSQL": {**index, "Username": url.username, "Password": url.password}}
        with orthanc(folder, more) as target:
            yield target
    finally:
        server.stop()


@contextmanager
def orthanc(folder: Path, more: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Target]:
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not Path(program).exists():
        raise ConfigurationError("Orthanc is not installed", hint="apt-get install orthanc")
    server = Orthanc(program, folder, more)
    server.start()
    try:
        yield AE_TITLE, server.port
    finally:
        server.stop()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while not accepts_connections("127.0.0.1", port):
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing answers on port {port}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
