"""Receive rate: dicom-node, DCMTK's storescp and Orthanc in the same run, the same files, the same sender (DCMTK's storescu).

    make bench ARGS="--instances 400 --associations 1 4"

dicom-node answers only after fsync and a PostgreSQL commit; the peers do neither, so the comparison is in their favour.
TCP_NODELAY=1 is set for every process: without it storescp waits for Nagle's algorithm (22/s instead of 1,200/s).
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID

from core.errors import ConfigurationError
from db.base import Database
from deploy.demo.inputs import CT_SERIES, data_folder
from deploy.demo.pacs import AE_TITLE, Orthanc, free_port
from deploy.embedded import EmbeddedPostgres
from deploy.ports import answers
from imaging.synthetic.chest import make_chest, write_chest
from imaging.synthetic.uids import synthetic_uid

Target = tuple[str, int]  # AE title, port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=300, help="of each association")
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for program in ("/usr/bin/storescu", "/usr/bin/storescp"):
        if not Path(program).exists():
            raise SystemExit(f"{program} is missing: apt-get install dcmtk")
    os.environ["TCP_NODELAY"] = "1"
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-bench-"))
    folder.chmod(0o755)
    try:
        rows = measure(folder, arguments.instances, arguments.associations)
    finally:
        shutil.rmtree(folder)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(folder: Path, instances: int, associations: list[int]) -> list[dict[str, object]]:
    most = max(associations)
    sets = copies(folder / "input", instances, most)
    size = sum(path.stat().st_size for path in sets[0].iterdir()) / instances
    print(f"{instances} CT slices of {size / 1e6:.2f} MB per association, {os.cpu_count()} cores", file=sys.stderr)
    peers: dict[str, Callable[[Path], object]] = {
        "dicom-node, 1 process": lambda place: node(place, 1),
        "dicom-node, 2 processes": lambda place: node(place, 2),
        "DCMTK storescp": storescp,
        "Orthanc": orthanc,
    }
    rows: list[dict[str, object]] = []
    for name, peer in peers.items():
        for number in associations:
            place = folder / f"{name.replace(' ', '-').replace(',', '')}-{number}"
            place.mkdir(mode=0o755)
            with peer(place) as target:  # type: ignore[attr-defined]
                seconds = store(sets[:number], target)
            rate = number * instances / seconds
            rows.append(
                {"receiver": name, "associations": number, "instances_per_s": round(rate, 1), "mb_per_s": round(rate * size / 1e6, 1)}
            )
            print(f"{name:26} {number} association(s): {rate:7.0f} instances/s, {rate * size / 1e6:6.0f} MB/s", flush=True)
            shutil.rmtree(place, ignore_errors=True)
    return rows


def copies(folder: Path, instances: int, sets: int) -> list[Path]:
    """The real series (else a synthetic chest) as often as needed, each instance with a UID of its own; one folder per association."""
    data = data_folder()
    if data is not None and (data / "ct" / CT_SERIES).is_dir():
        sources = sorted((data / "ct" / CT_SERIES).glob("*.dcm"))
    else:
        sources = write_chest(folder / "source", make_chest(1, slices=60, diameters_mm=()))
    folders = []
    for number in range(sets):
        target = folder / f"set{number}"
        target.mkdir(parents=True)
        folders.append(target)
        for index in range(instances):
            dataset = dcmread(sources[index % len(sources)])
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(synthetic_uid("bench", number, index))
            dataset.SeriesInstanceUID = synthetic_uid("bench", number, "series", index // len(sources))
            dataset.save_as(target / f"{index:05d}.dcm")
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
    server, port = EmbeddedPostgres(folder / "postgresql"), free_port()
    url = server.start()
    try:
        database = Database.open(url)
        database.upgrade()
        config = folder / "node.toml"
        config.write_text(
            f'[node]\ndata_dir = "{folder / "data"}"\nport = {port}\nprocesses = {processes}\n[receive]\nmin_free_bytes = 0\n'
            f'[database]\nurl = "{url}"\n[logs]\nlevel = "warning"\n[[sources]]\nae_title = "BENCH"\nhost = "127.0.0.1"\n'
        )
        listener = subprocess.Popen([sys.executable, "-m", "deploy.cli", "listen", "--config", str(config)])
        try:
            wait_for(port)
            if processes > 1:
                wait_for_siblings(database, processes)
            yield "DICOMNODE", port
        finally:
            listener.send_signal(signal.SIGTERM)
            listener.wait(60)
            database.dispose()
    finally:
        server.stop()


def wait_for_siblings(database: Database, processes: int) -> None:
    from db.heartbeats import alive

    deadline = time.monotonic() + 60
    while sum(beat.role == "listen" for beat in alive(database, 60)) < processes:
        if time.monotonic() > deadline:
            raise SystemExit("the listener's processes did not come up")
        time.sleep(0.1)


@contextmanager
def storescp(folder: Path) -> Iterator[Target]:
    port = free_port()
    process = subprocess.Popen(["/usr/bin/storescp", "--fork", "-od", str(folder), str(port)], stdout=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield "STORESCP", port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def orthanc(folder: Path) -> Iterator[Target]:
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not Path(program).exists():
        raise ConfigurationError("Orthanc is not installed", hint="apt-get install orthanc")
    server = Orthanc(program, folder)
    server.start()
    try:
        yield AE_TITLE, server.port
    finally:
        server.stop()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while not answers("127.0.0.1", port):
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing answers on port {port}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
