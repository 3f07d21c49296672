"""Two examinations of one patient through a whole node: the second report compares with the first and refers to it.

``dicom-node up`` with embedded PostgreSQL and broker, Celery workers and the trained network; the images come and the reports go over
DIMSE. Both series have the same voxels, so that the network finds the same nodules, at the same places.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest

from core.concepts import codes, private_codes
from deploy.demo.modality import AE_TITLE, send_files
from deploy.demo.result_check import dciodvfy_errors
from deploy.demo.synthetic.chest import Chest, make_chest, synthetic_identity, write_chest
from deploy.demo.synthetic.uids import synthetic_uid
from tests.support import node_toml
from tests.support.external_programs import tool
from tests.support.node_process import RunningNode, wait_until
from tests.support.storage_scp import Pacs, running
from tests.workers.encode.sr.test_document import named
from workers.encode.validate.validator import validate

pytestmark = pytest.mark.timeout(3600)
CHEST: dict[str, Any] = {"slices": 30, "size": 96, "slice_mm": 5.0, "pixel_mm": 2.6, "diameters_mm": (12.0, 20.0)}
FIRST, SECOND = 201, 202


@dataclass
class Site:
    """A node, and the PACS that receives its reports."""

    node: RunningNode
    pacs: Pacs

    def report(self, row: dict[str, Any]) -> tuple[bytes, pydicom.Dataset]:
        """Return the file of the report that a row of the export names, which the PACS has stored."""
        uid = row["sr_sop_instance_uid"]
        assert uid in self.pacs.stored
        (made,) = [one for one in self.node.json("jobs", "show", str(row["job_id"]), "--json")["reports"] if one["sop_instance_uid"] == uid]
        content = (self.node.config.parent / "data" / "blobs" / made["sha256"][:2] / made["sha256"]).read_bytes()
        return content, pydicom.dcmread(io.BytesIO(content))


@pytest.fixture(scope="module")
def chest() -> Chest:
    """The voxels of both examinations."""
    return make_chest(FIRST, **CHEST)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The node and its PACS."""
    folder = tmp_path_factory.mktemp("node")
    with running(Pacs()) as pacs:
        (folder / "node.toml").write_text(f"""
{node_toml.ports(ae_title="NODE")}[completion]
settle_s = 2.0
quiet_s = 4.0
[worker]
children = 1
{node_toml.source(AE_TITLE, "127.0.0.0/8")}{node_toml.pacs(pacs.port, ae_title="PACS")}
[[routes]]
name = "chest CT"
model = "lung_nodule_ct"
destinations = ["pacs"]
when = {{ Modality = "CT" }}
priors = {{ count = 1, within_days = 1825, same = ["Modality", "BodyPartExamined"] }}
""")
        node = RunningNode(folder / "node.toml")
        try:
            yield Site(node.start(), pacs)
        finally:
            node.stop_or_kill()


def examine(node: RunningNode, chest: Chest, seed: int, day: str, folder: Path) -> list[dict[str, Any]]:
    """Send the examination of a day; return its rows of the export when its objects are delivered."""
    study = synthetic_uid(seed, "study")
    patient = replace(synthetic_identity(FIRST), study_instance_uid=study, study_date=day, accession_number=f"ACC-{seed}")
    send_files(write_chest(folder, replace(chest, seed=seed), identity=patient), "127.0.0.1", node.port, "NODE")

    def delivered() -> list[dict[str, Any]]:
        rows = [row for row in node.export() if row["study_instance_uid"] == study]
        return rows if rows and rows[0]["job_state"] == "delivered" else []

    return wait_until(f"the result of {day}", delivered)


def test_the_second_report_compares_with_the_first_and_refers_to_it(site: Site, chest: Chest, tmp_path: Path) -> None:
    tool("dciodvfy", "dicom3tools")
    before = examine(site.node, chest, FIRST, "20250105", tmp_path / "first")
    assert before[0]["outcome"] == "findings"
    assert before[0]["priors"] == []
    now = examine(site.node, chest, SECOND, "20260102", tmp_path / "second")
    (prior,) = now[0]["priors"]
    assert (prior["job_id"], prior["model_version"], prior["study_date"], prior["days"]) == (
        before[0]["job_id"], before[0]["model_version"], "20250105", 362,
    )  # fmt: skip
    assert [row["measurements"]["diameter_mm"] for row in now] == [row["measurements"]["diameter_mm"] for row in before]
    matched = {number: row["comparison"] for number, row in enumerate(now, 1) if row["comparison"]["finding"] is not None}
    assert matched, [row["comparison"]["reason"] for row in now]
    for number, said in matched.items():
        assert (said["finding"], said["distance_mm"], said["change"], said["volume_percent"]) == (number, 0.0, "within_error", 0)
    content, report = site.report(now[0])
    _, earlier = site.report(before[0])
    (reference,) = named(report, codes.PRIOR_REPORT.value)
    assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    assert reference.ContentSequence[0].Date == "20250105"
    (study,) = report.PertinentOtherEvidenceSequence
    assert study.StudyInstanceUID == earlier.StudyInstanceUID
    assert "2025-01-05 (362 days before" in named(report, private_codes.COMPARED_WITH.value)[0].TextValue
    assert validate(content) == ()
    (tmp_path / "report.dcm").write_bytes(content)
    assert dciodvfy_errors(tmp_path / "report.dcm") == []
    assert len(named(report, private_codes.CHANGE.value)) == len(now)
    assert "No earlier result" in named(earlier, private_codes.COMPARED_WITH.value)[0].TextValue


def test_an_erased_patient_leaves_no_comparison(site: Site) -> None:
    """After the test before: both studies are of one person, and the second refers to the first."""
    patient = synthetic_identity(FIRST)
    named_so = (patient.patient_id, "--issuer", patient.issuer_of_patient_id)
    site.node.cli("patients", "erase", *named_so, "--reason", "a test", "--yes")
    assert site.node.export() == []
    assert not [line for line in site.node.errors if "Traceback" in line]
