"""Takes the screenshots at the end of the demo: the results in OHIF, as a radiologist would see them.

Needs Playwright: import it only after `deploy.demo.viewer.prerequisites` has found nothing missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import StorageError
from deploy.demo.pacs.orthanc import Orthanc
from deploy.demo.viewer.chromium import chromium_page
from deploy.demo.viewer.ohif_files import find_ohif
from deploy.demo.viewer.ohif_page import MEASUREMENTS, OhifPage
from deploy.demo.viewer.prerequisites import find_chromium
from deploy.demo.viewer.server import ViewerServer


@dataclass(frozen=True, slots=True)
class StudyToShow:
    """One study to take a screenshot of. ``findings``: number of rows of its report; 0 when it states that there is no finding."""

    name: str
    study_instance_uid: str
    findings: int


def studies_to_show(findings: Iterable[Mapping[str, Any]]) -> list[StudyToShow]:
    """Choose one study of each modality: the first of those with the most findings. ``findings``: rows of ``v_findings``."""
    counted: dict[tuple[str, str], int] = {}
    for row in findings:
        if row["job_id"] is not None:
            key = (str(row["modality"]), str(row["study_instance_uid"]))
            counted[key] = counted.get(key, 0) + bool(row["finding"])
    best: dict[str, StudyToShow] = {}
    for (modality, study), count in counted.items():
        if modality not in best or count > best[modality].findings:
            best[modality] = StudyToShow(modality.lower(), study, count)
    return [best[modality] for modality in sorted(best)]


def take_screenshots(pacs: Orthanc, studies: Sequence[StudyToShow], folder: Path) -> list[Path]:
    """Take one screenshot of each study, with segmentation and findings where it has them, and write them to ``folder``.

    Raises
    ------
    StorageError
        The viewer did not start, or did not display a result in time.
    """
    ohif, chromium = find_ohif(), find_chromium()
    if ohif is None or chromium is None:
        raise StorageError("the viewer is not installed", hint="run make viewer, and apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    server = ViewerServer(ohif, pacs.http_port)
    server.start()
    try:
        with chromium_page(chromium) as page:
            viewer = OhifPage(page, server.url)
            return [_screenshot(viewer, pacs, study, folder / f"ohif-{study.name}.png") for study in studies]
    finally:
        server.stop()


def _screenshot(viewer: OhifPage, pacs: Orthanc, study: StudyToShow, path: Path) -> Path:
    modalities = pacs.modalities(study.study_instance_uid)
    if "CT" not in modalities:
        modalities.discard("SEG")  # OHIF does not list segmentations of photographs: docs/viewers.md
    viewer.open_study(study.study_instance_uid, modalities)
    if "SEG" in modalities:
        viewer.open_series("SEG", load=True)
    viewer.open_series("SR", load=bool(study.findings))
    if study.findings:
        viewer.open_panel(MEASUREMENTS)
        viewer.panel_rows(study.findings)
        viewer.click_row(0)
        viewer.wait_until_drawn()
    return viewer.screenshot(path)
