"""Puts images into blobs and database, and completes and queues them, as listener and conductor do, without network."""

import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from pydicom.dataset import Dataset

from core.records import CompletionEvidence
from core.settings.settings import Settings
from core.states import Priority, UnitKind
from db.blobs.store import Blobs
from db.complete import units
from db.complete.completion import complete_unit
from db.engine import Database
from db.jobs.job_records import JobPlan
from db.receive import admission
from db.receive.associations import open_association
from deploy.demo.synthetic.lesion import lesion_dataset
from deploy.settings_file import load_settings
from imaging.headers.instance_header import read_header
from models import registry
from tests.support import node_toml

SKIN = "dermoscopy_7class"
CONFIG = """
[node]
data_dir = "data"
timezone = "+0100"
[worker]
device = "cpu"
threads = 1
lease_s = {lease_s}
soft_time_limit_s = {soft_s}
hard_time_limit_s = {hard_s}
republish_after_s = 1.0
retry_base_s = 0.5
max_attempts = 3
keep_heat_maps = false
[logs]
format = "console"
"""
PARTS = (node_toml.pacs(4242, ae_title="PACS"), node_toml.pacs(4243, "clinic", "CLINIC", accept_research=False), node_toml.skin_route())


def config_text(*, lease_s: float = 30.0, soft_s: float = 60.0, hard_s: float = 90.0) -> str:
    """Return the text of node.toml."""
    return CONFIG.format(lease_s=lease_s, soft_s=soft_s, hard_s=hard_s) + "".join(PARTS)


def configure(folder: Path, database_url: str, broker_url: str = "", **limits: float) -> Settings:
    """Write ``folder/node.toml`` and return its settings. The URLs are passed by environment variables, as ``up`` does."""
    path = folder / "node.toml"
    path.write_text(config_text(**limits))
    return load_settings(path, server_url_variables(database_url, broker_url))


def server_url_variables(database_url: str, broker_url: str) -> dict[str, str]:
    """Return the environment variables that set the URLs of the servers."""
    return {"DICOM_NODE_DATABASE__URL": database_url, "DICOM_NODE_BROKER__URL": broker_url}


def encode_file(dataset: Dataset) -> bytes:
    """Encode a Part 10 file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@dataclass
class JobFactory:
    """Creates units and jobs in a database."""

    database: Database
    blobs: Blobs
    association: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        names = {"calling_ae": "PACS", "called_ae": "DICOMNODE", "address": "127.0.0.1", "listener": "test"}
        open_association(self.database, id=self.association, lease_s=600, **names)

    def receive(self, dataset: Dataset, kind: UnitKind) -> str:
        """Admit one instance; return the hash of its blob."""
        content = encode_file(dataset)
        blob = self.blobs.put(content)
        header = read_header(io.BytesIO(content))
        admission.admit_instance(self.database, header=header, blob=blob, kind=kind, association_id=self.association, source="PACS")
        return blob.sha256

    def queue(
        self, datasets: Sequence[Dataset], kind: UnitKind, model: str = SKIN, *, destinations: tuple[str, ...] = ("pacs",),
        priority: Priority = Priority.ROUTINE, digest: str = "", version: str = "", route: str = "skin",
    ) -> tuple[int, list[str]]:  # fmt: skip
        """Admit, complete and queue one unit; return the job's id and the hashes of its blobs."""
        hashes = [self.receive(dataset, kind) for dataset in datasets]
        sop_instance_uid = str(datasets[0].SOPInstanceUID) if kind is UnitKind.IMAGE else ""
        series_instance_uid = str(datasets[0].SeriesInstanceUID)
        found = [
            unit
            for unit in units.units_of_study(self.database, str(datasets[0].StudyInstanceUID))
            if (unit.series_instance_uid, unit.sop_instance_uid) == (series_instance_uid, sop_instance_uid)
        ]
        given = version or registry.card(model).version
        plan = JobPlan(model, given, digest or registry.pipeline_digest(model), (route,), destinations, priority)
        evidence = CompletionEvidence("photograph", "one image", self.database.now(), len(datasets))
        ids = complete_unit(self.database, found[0], evidence=evidence, plans=(plan,), routes=(route,), selected=None, reason="")
        assert ids is not None
        return ids[0], hashes

    def photograph(self, seed: int, **given: object) -> tuple[int, str]:
        """Queue one synthetic dermoscopy image; return the job's id and the hash of its blob."""
        job_id, hashes = self.queue([lesion_dataset(seed, size=(150, 200))], UnitKind.IMAGE, **given)  # type: ignore[arg-type]
        return job_id, hashes[0]


def unblock_reader(fifo: Path) -> None:
    """Let a reader that is blocked on a FIFO read its end, so that no thread of the test remains."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            return
        except OSError:  # no reader has opened it yet
            time.sleep(0.02)
    raise AssertionError("no process reads the FIFO")
