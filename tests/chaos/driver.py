"""Streams studies into a running node, kills its processes at random, waits until it is quiet, and checks what must hold.

Seeded: the same seed sends the same studies and draws the same faults; the instants at which they strike are the machine's.
"""

import hashlib
import io
import json
import random
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pydicom
from pynetdicom.presentation import build_context
from sqlalchemy import text

from db.base import Database
from deploy.demo.pacs import StorageScp, free_port
from deploy.running import running_servers
from dicom_node.sockets import Entity
from imaging.synthetic.chest import make_chest, write_chest
from imaging.synthetic.lesion import lesion_dataset
from tests.support.node import RunningNode, wait_until

ROLES = ("listen", "conduct", "relay", "worker", "send")
SERVERS = ("postgres", "broker")
SENDER = "MODALITY"


@dataclass(slots=True)
class Ward:
    """The node, its two destinations, and what was acknowledged to the sender: SOP Instance UID -> sha256 of the data set."""

    node: RunningNode
    destinations: tuple[StorageScp, StorageScp]
    acknowledged: dict[str, str] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    @property
    def data(self) -> Path:
        return self.node.config.parent / "data"


def open_ward(folder: Path) -> Ward:
    """Two destinations, and a node with short leases that sends to both."""
    destinations = StorageScp(folder / "east"), StorageScp(folder / "west")
    for destination in destinations:
        destination.start()
    blocks = "".join(
        f'[[destinations]]\nname = "{name}"\nae_title = "DEMOPACS"\nhost = "127.0.0.1"\nport = {pacs.port}\naccept_research = true\n'
        for name, pacs in zip(("east", "west"), destinations, strict=True)
    )
    config = folder / "node.toml"
    config.write_text(f"""
[node]
port = {free_port()}
[console]
port = {free_port()}
[receive]
association_lease_s = 4.0
min_free_bytes = 0
[completion]
settle_s = 1.0
quiet_s = 5.0
[worker]
lease_s = 6.0
max_attempts = 20
retry_base_s = 0.5
republish_after_s = 3.0
[delivery]
lease_s = 5.0
retry_base_s = 0.5
retry_cap_s = 3.0
timeout_s = 10.0
[[sources]]
ae_title = "{SENDER}"
host = "127.0.0.1"
{blocks}
[[routes]]
name = "skin"
model = "dermoscopy_7class"
destinations = ["east", "west"]
when = {{ Modality = "DMS" }}
[[routes]]
name = "chest"
model = "lung_nodule_ct"
destinations = ["east", "west"]
when = {{ Modality = "CT" }}
""")
    return Ward(RunningNode(config).start(), destinations)


def photographs(folder: Path, count: int, seed: int) -> list[Path]:
    """One study each."""
    paths = []
    for number in range(count):
        image = lesion_dataset(seed * 100_000 + number, size=(150, 200))
        paths.append(folder / f"{number}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    return paths


def short_series(folder: Path, seed: int) -> list[Path]:
    """A CT series that a model takes within seconds."""
    return write_chest(folder, make_chest(seed, slices=24, size=64, slice_mm=5.0, diameters_mm=(14.0,)))


def deliver(ward: Ward, files: list[Path], *, patience_s: float = 90.0) -> None:
    """Send as a modality does: until every file is acknowledged, again and again, over new associations."""
    waiting = list(files)
    deadline = time.monotonic() + patience_s
    while waiting:
        assert time.monotonic() < deadline, f"{len(waiting)} instances were not taken within {patience_s:g} s"
        waiting = _try(ward, waiting)
        if waiting:
            time.sleep(0.3)


def _try(ward: Ward, files: list[Path]) -> list[Path]:
    """One association; what was not acknowledged on it."""
    images = {path: pydicom.dcmread(path) for path in files}
    entity = Entity(SENDER)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    pairs = {(image.SOPClassUID, image.file_meta.TransferSyntaxUID) for image in images.values()}
    entity.requested_contexts = [build_context(*pair) for pair in sorted(pairs)]
    association = entity.associate("127.0.0.1", ward.node.port, ae_title="DICOMNODE")
    left = []
    for path, image in images.items():
        status = association.send_c_store(path) if association.is_established else pydicom.Dataset()
        if status.get("Status") == 0x0000:
            ward.acknowledged[str(image.SOPInstanceUID)] = _data_set_hash(path.read_bytes())
        else:
            ward.refused += 1
            left.append(path)
    if association.is_established:
        association.release()
    return left


def _data_set_hash(content: bytes) -> str:
    """sha256 of a Part 10 file's data set, without preamble and file meta information."""
    stream = io.BytesIO(content)
    pydicom.filereader.read_preamble(stream, False)
    pydicom.filereader._read_file_meta_info(stream)
    return hashlib.sha256(content[stream.tell() :]).hexdigest()


def strike(ward: Ward, dice: random.Random) -> None:
    """kill -9 of a role's process (or one of its children), or of an embedded server."""
    what = dice.choice((*ROLES, *ROLES, *SERVERS))
    victims = _processes(ward, what)
    if not victims:
        return
    try:
        dice.choice(victims).send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return
    ward.faults[what] += 1


def _processes(ward: Ward, what: str) -> list[psutil.Process]:
    """The processes of ``what``, told by their command lines; for the worker its children too."""
    return [process for process in ward.node.processes() if _is(what, _words(process))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def _is(what: str, words: list[str]) -> bool:
    program = Path(words[0]).name if words else ""
    if what == "postgres":
        return program == "postgres" and "-D" in words  # the postmaster
    if what == "broker":
        return "redis-server" in program or "valkey-server" in program
    return "deploy.cli" in words and what in words


def quiet(ward: Ward, units: int, timeout_s: float = 240.0) -> list[dict[str, Any]]:
    """The export, once every unit has its current result and every delivery is over."""

    def done() -> list[dict[str, Any]]:
        jobs, deliveries = ward.node.json("jobs", "list", "--json"), ward.node.json("deliveries", "list", "--json")
        ended = all(job["job_state"] in {"delivered", "superseded"} for job in jobs) and all(row["state"] == "stored" for row in deliveries)
        export = ward.node.export() if ended and len(jobs) >= units else []
        return export if len({row["job_id"] for row in export}) >= units else []

    answer: list[dict[str, Any]] = wait_until(f"{units} units to be delivered", _patient(done), timeout_s=timeout_s, every_s=1.0)
    return answer


def _patient(check: Callable[[], Any]) -> Callable[[], Any]:
    """A command fails while PostgreSQL comes back: asked again."""

    def asked() -> Any:
        try:
            return check()
        except AssertionError:
            return None

    return asked


def verify(ward: Ward, export: list[dict[str, Any]]) -> None:
    """What must hold whatever was killed."""
    held = instances(ward)
    missing = set(ward.acknowledged) - set(held)
    assert not missing, f"{len(missing)} acknowledged instances are not in the index"
    for uid, sha256 in ward.acknowledged.items():
        content = (ward.data / "blobs" / held[uid][:2] / held[uid][2:4] / held[uid]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == held[uid]
        assert _data_set_hash(content) == sha256, "an acknowledged instance is not kept bit for bit"
    current = Counter((row["series_instance_uid"], row["sop_instance_uid"], row["model"]) for row in _current_jobs(export))
    assert set(current.values()) == {1}, "a unit with two current results"
    reports = {row["sr_sop_instance_uid"] for row in export if row["job_state"] == "delivered"}
    for destination in ward.destinations:
        assert all(destination.fetch(uid) is not None for uid in reports), "a report is missing at a destination"
    ward.node.cli("audit", "verify")
    spool = [path for path in (ward.data / "blobs").rglob("*") if path.is_file() and len(path.name) != 64]
    assert spool == [], f"temporary files are left: {spool[:3]}"
    with urllib.request.urlopen(f"{ward.node.console}/readyz", timeout=10) as answer:
        assert json.load(answer)["ready"] is True


def _current_jobs(export: list[dict[str, Any]]) -> list[dict[str, Any]]:
    jobs = {row["job_id"]: row for row in export if row["job_id"] is not None and row["job_state"] != "superseded"}
    return list(jobs.values())


def instances(ward: Ward) -> dict[str, str]:
    """Every current instance of the index: SOP Instance UID -> name of its blob."""
    servers = running_servers(ward.data)
    assert servers is not None
    database = Database.open(servers.database, pool_size=1)
    try:
        with database.begin() as connection:
            rows = connection.execute(text("SELECT sop_instance_uid, sha256 FROM instances WHERE state = 'current'")).all()
    finally:
        database.dispose()
    return {row.sop_instance_uid: row.sha256 for row in rows}
