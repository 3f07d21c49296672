"""The end of the demo: the results in OHIF, as a radiologist would see them, in pictures. Never a reason for the demo to fail."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import StorageError
from deploy.demo.pacs import Orthanc, Pacs
from deploy.demo.viewer import ohif_files
from deploy.demo.viewer.browser import Browser, program
from deploy.demo.viewer.ohif_page import MEASUREMENTS, Ohif
from deploy.demo.viewer.server import ViewerServer


@dataclass(frozen=True, slots=True)
class Shown:
    """What to show of one study. ``findings``: how many rows its report gives, 0 where it says that there is none."""

    name: str
    study_instance_uid: str
    findings: int


def missing(pacs: Pacs) -> list[str]:
    """What is not here that the pictures need, each with the way to get it."""
    lacking = []
    if not isinstance(pacs, Orthanc):
        lacking.append("Orthanc (apt-get install orthanc)")
    elif pacs.dicomweb is None:
        lacking.append("Orthanc's DICOMweb plug-in (apt-get install orthanc-dicomweb)")
    if program() is None:
        lacking.append("Chromium (apt-get install chromium)")
    if ohif_files.folder() is None:
        lacking.append(f"OHIF {ohif_files.VERSION} (make viewer)")
    return lacking


def chosen(findings: Iterable[Mapping[str, Any]]) -> list[Shown]:
    """Of each modality the study with the most findings, the first of them; from the rows of ``v_findings``."""
    counted: dict[tuple[str, str], int] = {}
    for row in findings:
        if row["job_id"] is not None:
            key = (str(row["modality"]), str(row["study_instance_uid"]))
            counted[key] = counted.get(key, 0) + bool(row["finding"])
    best: dict[str, Shown] = {}
    for (modality, study), count in counted.items():
        if modality not in best or count > best[modality].findings:
            best[modality] = Shown(modality.lower(), study, count)
    return [best[modality] for modality in sorted(best)]


def pictures(pacs: Orthanc, studies: Sequence[Shown], folder: Path) -> list[Path]:
    """One picture of each study, with its segmentation and its findings where it has them, to ``folder``.

    Raises
    ------
    StorageError
        The viewer did not start, or did not show what it was to show.
    """
    built, chromium = ohif_files.folder(), program()
    if built is None or chromium is None:
        raise StorageError("the viewer is not installed", hint="see what is missing")
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with ExitStack() as stack:
        server = ViewerServer(built, pacs.http_port)
        server.start()
        stack.callback(server.stop)
        browser = Browser(chromium, folder / "chromium")
        stack.callback(browser.stop)
        browser.start()
        page = Ohif(browser, server.url)
        for study in studies:
            listed = pacs.modalities(study.study_instance_uid)
            if "CT" not in listed:
                listed.discard("SEG")  # OHIF shows none of photographs: docs/viewers.md
            taken.append(_picture(page, study, listed, folder / f"ohif-{study.name}.png"))
    return taken


def _picture(page: Ohif, study: Shown, listed: set[str], path: Path) -> Path:
    page.open(study.study_instance_uid, listed)
    if "SEG" in listed:
        page.show("SEG", load=True)
    page.show("SR", load=bool(study.findings))
    if study.findings:
        page.panel(MEASUREMENTS)
        page.rows(study.findings)
        page.click_row(0)
        page.settle()
    return page.picture(path)
