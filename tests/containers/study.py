"""The study of the check: a synthetic chest CT and synthetic photographs, sent over DICOM; reports fetched from the PACS and validated."""

import io
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pydicom
from pynetdicom.presentation import build_context

from deploy.demo.result_check import dciodvfy_errors, inflate_data_set
from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset
from dicom_node.sockets import NodeEntity
from workers.encode.validate.validator import validate

PACS_AE, NODE_AE = "TESTPACS", "DICOMNODE"


@dataclass(frozen=True, slots=True)
class Report:
    """A structured report as the PACS stores it, with what the validators found."""

    study_uid: str
    title: str
    problems: tuple[str, ...]


def make_ct(folder: Path) -> list[Path]:
    """Write a chest of 30 slices, small enough for a worker on the CPU."""
    return write_chest(folder, make_chest(20, slices=30, size=128, slice_mm=4.0, pixel_mm=1.6, diameters_mm=(8.0, 12.0)))


def make_photograph(folder: Path, seed: int) -> Path:
    """Write a dermoscopic photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"photograph-{seed}.dcm"
    lesion_dataset(seed).save_as(path, enforce_file_format=True)
    return path


def study_uid(path: Path) -> str:
    """Return the Study Instance UID of a file."""
    return str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)


class TestPacs:
    """The Orthanc of the compose file, over its REST interface."""

    __test__ = False  # no test class

    def __init__(self, url: str) -> None:
        # Each request has a connection of its own: Orthanc closes one that was quiet for a second, also while the next request is sent.
        self._client = httpx.Client(base_url=url, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))

    def wait(self, timeout_s: float) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._client.get("/system").raise_for_status()
                return
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def store(self, files: Sequence[Path]) -> list[str]:
        """Store files, as if a modality had sent them; return Orthanc's identifiers."""
        return [str(self._client.post("/instances", content=path.read_bytes()).raise_for_status().json()["ID"]) for path in files]

    def send_to_node(self, identifiers: Sequence[str]) -> None:
        """Send stored instances to the node with C-STORE."""
        self._client.post("/modalities/node/store", json=list(identifiers), timeout=300).raise_for_status()

    def reports(self, study: str) -> list[Report]:
        """Return the structured reports of a study, validated."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study, "Modality": "SR"}}
        return [
            self._report(study, str(identifier)) for identifier in self._client.post("/tools/find", json=query).raise_for_status().json()
        ]

    def _report(self, study: str, identifier: str) -> Report:
        content = self._client.get(f"/instances/{identifier}/file").raise_for_status().content
        problems = [str(problem) for problem in validate(inflate_data_set(content))]
        with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
            file.write(content)
            file.flush()
            if shutil.which("dciodvfy"):
                problems += dciodvfy_errors(Path(file.name))
        title = str(pydicom.dcmread(io.BytesIO(content)).ConceptNameCodeSequence[0].CodeMeaning)
        return Report(study, title, tuple(problems))

    def wait_for_reports(self, studies: Sequence[str], timeout_s: float) -> list[Report]:
        """Return the reports of all studies, as soon as each has one.

        Raises
        ------
        TimeoutError
            A study has no report in time, or a report is not valid.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            found = {study: self.reports(study) for study in studies}
            if all(found.values()):
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"studies without a report: {json.dumps([study for study, reports in found.items() if not reports])}")
            time.sleep(1.0)
        reports = [report for several in found.values() for report in several]
        if problems := [problem for report in reports for problem in report.problems]:
            raise TimeoutError(f"a report is not valid: {problems}")
        return reports


def send_over_published_port(path: Path, port: int) -> None:
    """Send one file from the host to the port that the engine publishes, with the calling AE title of the PACS."""
    dataset = pydicom.dcmread(path)
    entity = NodeEntity(PACS_AE)
    entity.requested_contexts = [build_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]
    association = entity.associate("127.0.0.1", port, ae_title=NODE_AE)
    if not association.is_established:
        raise ConnectionError("the node did not accept the association on the published port")
    try:
        status = association.send_c_store(path)
    finally:
        association.release()
    if status.get("Status") != 0:
        raise ConnectionError(f"C-STORE was answered {status}")
