"""Imports classifiers for every modality into a running node, sends images of each, and checks reports and console."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from pydicom.dataset import FileDataset

from deploy.demo.modality import send_files
from deploy.demo.result_check import dciodvfy_errors
from imaging.headers.identity import Identity
from imaging.photograph.encapsulate import jpeg_to_dicom
from tests.support.console import Browser
from tests.support.monai_classifiers import ABOUT, GREY, RESNET, about_modality, drawing, inference, make_classifier, radiograph
from tests.support.multi_frame import ULTRASOUND_LOOP, as_jpeg, jpeg_of, multi_frame, oct_volume
from tests.support.node_process import RunningNode
from tests.support.orthanc import Orthanc
from tests.support.slides import TILE, pyramid

TABLES: dict[str, dict[str, Any]] = {
    "OPT": {"frames": {"top": 1}},
    "US": {"frames": {"top": 1}},
    "SM": {"tiles": {"magnification": 20, "size": TILE, "top": 1}},
}
COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
# Two classes that do not exclude each other, both findings; every one of them is above the operating point.
SEVERAL_CLASSES = ABOUT.replace("finding = false\n", "") + "[thresholds]\nscore = 0.0\n"
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Expected:
    """An image that was sent, the model that its route names, and the classes that the model is to find."""

    image: FileDataset
    model: str
    findings: tuple[str, ...] = ("disc",)
    outcome: str = "findings"


@dataclass(frozen=True, slots=True)
class SentImages:
    """What was sent.

    Attributes
    ----------
    expected
        An image for each model but one.
    radiographs
        Two images for one model, with and without a disc.
    unrouted
        An image that no route takes.
    """

    expected: tuple[Expected, ...]
    radiographs: tuple[Expected, ...]
    unrouted: FileDataset


def colour_loop(discs: Sequence[bool], study: int = 8700) -> FileDataset:
    """An ultrasound loop in JPEG with colours of YBR_FULL_422, as scanners send them."""
    grey = np.stack([drawing(disc, study + number, at=0.4) for number, disc in enumerate(discs)])
    frames = np.repeat(grey[..., None], 3, axis=3)
    return as_jpeg(multi_frame(frames, study=study, sop_class=ULTRASOUND_LOOP, modality="US"))


def clinical_photograph(study: str = "2.25.8800") -> FileDataset:
    """A clinical photograph in colour (VL Photographic Image)."""
    who = Identity("PHOTO-1", study, patient_name="Photo^Graph", patient_birth_date="19800101", study_date="20260102", study_time="1015")
    jpeg = jpeg_of(np.repeat(drawing(True, 7)[..., None], 3, axis=2))
    return jpeg_to_dicom(jpeg, identity=who, series_instance_uid=f"{study}.1", sop_instance_uid=f"{study}.1.1", kind="vl")


def plain_radiographs() -> tuple[FileDataset, FileDataset]:
    """Computed radiographs of two views, in one series: the frontal one shows a disc, and so does the lateral one."""
    made = []
    for number, view in enumerate(("PA", "LL"), 1):
        image = radiograph(True, 80)
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = COMPUTED_RADIOGRAPHY
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{image.SeriesInstanceUID}.{number}"
        image.Modality, image.ViewPosition, image.InstanceNumber = "CR", view, number
        made.append(image)
    return made[0], made[1]


def import_and_send(node: RunningNode, folder: Path) -> SentImages:
    """Import and activate a classifier for each modality, add their routes by one reload, and send images of each."""
    bundle = make_classifier(folder / "zoo" / "bundle", inference(GREY), steps=40)
    routes = [node.config.read_text()]
    for modality, stated in TABLES.items():
        name = f"discs_{modality.lower()}"
        (folder / "about.toml").write_text(about_modality(modality, **stated).replace("bright_discs", name))
        routes.append(_serve(node, bundle, folder / "about.toml", name, f'Modality = "{modality}"'))
    (folder / "about.toml").write_text(ABOUT)
    routes.append(_serve(node, bundle, folder / "about.toml", "bright_discs", 'Modality = "DX"'))
    (folder / "about.toml").write_text(ABOUT.replace("bright_discs", "discs_cr"))
    routes.append(_serve(node, bundle, folder / "about.toml", "discs_cr", 'Modality = "CR", ViewPosition = "PA"'))
    several = make_classifier(folder / "zoo" / "several", inference(RESNET, "sigmoid"), steps=40)
    (folder / "about.toml").write_text(SEVERAL_CLASSES.replace("bright_discs", "discs_xc"))
    routes.append(_serve(node, several, folder / "about.toml", "discs_xc", 'Modality = "XC"'))
    node.config.write_text("".join(routes))
    node.cli("reload")
    volume, loop, levels, (frontal, lateral) = oct_volume([False, True, False]), colour_loop([False, True]), pyramid(), plain_radiographs()
    photograph, shown, empty = clinical_photograph(), radiograph(True, 0), radiograph(False, 1)
    for image in (volume, loop, *levels, frontal, lateral, photograph, shown, empty):
        image.save_as(folder / f"{image.SOPInstanceUID}.dcm", enforce_file_format=True)
    send_files(sorted(folder.glob("*.dcm")), "127.0.0.1", node.port, "NODE")
    expected = (
        Expected(volume, "discs_opt"),
        Expected(loop, "discs_us"),
        Expected(levels[0], "discs_sm"),
        Expected(frontal, "discs_cr"),
        Expected(photograph, "discs_xc", ("disc", "nothing")),
    )
    radiographs = (Expected(shown, "bright_discs"), Expected(empty, "bright_discs", ("",), "no_finding"))
    return SentImages(expected, radiographs, lateral)


def _serve(node: RunningNode, bundle: Path, about: Path, name: str, when: str) -> str:
    """Import a bundle under a name and activate it; return its route."""
    node.cli("models", "import", str(bundle), "--about", str(about))
    node.cli("models", "activate", name, "1.0.0")
    return f'[[routes]]\nname = "{name}"\nmodel = "{name}"\ndestinations = ["first", "second"]\nwhen = {{ {when} }}\n'


def check_reports(pacs: Orthanc, export: Sequence[Mapping[str, Any]], expected: Sequence[Expected], folder: Path) -> None:
    """Check that each image has the outcome and the findings of its model, and a valid report in the PACS."""
    stored = {report["SOPInstanceUID"]: report["ID"] for report in pacs.reports()}
    for one in expected:
        series = one.image.SeriesInstanceUID
        rows = [row for row in export if (row["series_instance_uid"], row["model"]) == (series, one.model)]
        assert {row["finding"] for row in rows} == set(one.findings), [row["reason"] for row in rows]
        assert {row["outcome"] for row in rows} == {one.outcome}
        path = folder / "report"
        path.write_bytes(pacs.file(stored[rows[0]["sr_sop_instance_uid"]]))
        assert dciodvfy_errors(path) == []


def check_console(node: RunningNode, expected: Sequence[Expected]) -> None:
    """Check that a clinician finds each study in the worklist, with model, version and findings on its page."""
    link = node.json("users", "invite", "reader", "--role", "clinician", "--json")["link"]
    assert httpx.post(link, data={"password": PASSWORD}, headers={"Origin": node.console}, timeout=600).status_code == 303
    with Browser(base_url=node.console, timeout=600) as browser:
        browser.open("/sign-in")
        assert browser.sign_in("reader", PASSWORD).status_code == 303
        for one in expected:
            worklist = browser.get("/worklist", params={"model": one.model}).text
            (study,) = set(re.findall(r'href="/studies/(\d+)"', worklist))
            page = browser.get(f"/studies/{study}").text
            for shown in (one.model, "1.0.0", *one.findings):
                assert shown in page, (one.model, shown)
