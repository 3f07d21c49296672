"""Results of a synthetic chest and a synthetic lesion in a real Orthanc, and OHIF in Chromium in front of it."""

import io
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image

from core import codes
from core.records import Finding, Measurement, Prediction, UnitInput
from core.states import Outcome, ReportKind, Tier
from deploy.demo.pacs import DICOMWEB, Orthanc
from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset, make_lesion
from deploy.demo.viewer import ohif_files
from deploy.demo.viewer.browser import Browser
from deploy.demo.viewer.ohif_page import Ohif
from deploy.demo.viewer.server import ViewerServer
from imaging.masks import pack, pack_heat
from imaging.photograph.read import Photograph, read_photograph
from imaging.volume.volume import Volume, read_volume
from tests.support import analyses
from tests.support.tools import tool
from workers.encode.analysis import Analysis
from workers.encode.objects import by_kind
from workers.encode.source import read_source
from workers.encode.sr import document

SEED = 31
COLOURED = 48  # a pixel whose channels differ by more is no grey of a CT
ARTEFACTS = Path(os.environ.get("CI_ARTEFACTS") or Path(__file__).resolve().parents[2] / "build") / "screenshots"


@dataclass(frozen=True, slots=True)
class Study:
    """What was sent: its UID, the analysis behind the results, and the modalities that the viewer lists."""

    uid: str
    analysis: Analysis
    listed: frozenset[str]


def analysed(paths: list[Path], item: Volume | Photograph, prediction: Prediction, **others: object) -> Analysis:
    """An analysis of files as a worker makes it."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    inputs = [UnitInput(str(one.SOPInstanceUID), str(one.SOPClassUID), "", str(path)) for one, path in zip(headers, paths, strict=True)]
    source = read_source(inputs, referenced=[finding.sop_instance_uid for finding in prediction.findings])
    return replace(analyses.ct(prediction), source=source, item=item, **others)  # type: ignore[arg-type]


def chest(folder: Path, seed: int = SEED) -> tuple[list[Path], Analysis]:
    """A CT series with two nodules, each found where it is and outlined, with a map of the evidence."""
    made = make_chest(seed, slices=36, size=192, slice_mm=5.0, diameters_mm=(14.0, 24.0))
    paths = write_chest(folder, made)
    volume = read_volume(paths)
    z, y, x = np.indices(volume.hu.shape)
    evidence = np.zeros(volume.hu.shape, np.float32)
    findings = []
    for nodule in made.nodules:
        cz, cy, cx = volume.index(nodule.position_mm)
        dz, dy, dx = volume.spacing_mm
        inside = ((z - cz) * dz) ** 2 + ((y - cy) * dy) ** 2 + ((x - cx) * dx) ** 2 <= (nodule.diameter_mm / 2) ** 2
        evidence[inside] = 0.9
        findings.append(
            Finding(
                label="nodule",
                code=codes.NODULE,
                score=0.91,
                tier=Tier.REVIEW,
                position_mm=nodule.position_mm,
                diameter_mm=nodule.diameter_mm,
                sop_instance_uid=volume.sop_instance_uids[round(cz)],
                image_point=(cx + 0.5, cy + 0.5),
                measurements=(Measurement(codes.VOLUME, np.pi / 6 * nodule.diameter_mm**3, codes.CUBIC_MILLIMETER),),
                site=codes.LUNG,
                mask=pack(inside),
            )
        )
    prediction = Prediction(Outcome.FINDINGS, tuple(findings), looked_for=analyses.LOOKED_FOR)
    heat = pack_heat(evidence, meaning="evidence for nodules")
    about = {"key": f"{seed:02d}" * 32, "frame_of_reference_uid": volume.frame_of_reference_uid, "heat": heat}
    return paths, analysed(paths, volume, prediction, advice={"nodule": "A place to look at."}, **about)


def lesion(folder: Path, seed: int = SEED) -> tuple[list[Path], Analysis]:
    """A dermoscopic photograph, its lesion called a melanoma and outlined, with a map of the evidence."""
    folder.mkdir(parents=True)
    path = folder / "lesion.dcm"
    lesion_dataset(seed).save_as(path, enforce_file_format=True)
    photograph, made = read_photograph(path), make_lesion(seed)
    finding = Finding(
        label="mel",
        code=codes.MELANOMA,
        probability=0.8123,
        tier=Tier.REVIEW,
        sop_instance_uid=photograph.sop_instance_uid,
        site=codes.SKIN,
        mask=pack(made.mask[None]),
    )
    heat = pack_heat(made.mask[None].astype(np.float32) * 0.9, meaning="evidence for mel")
    prediction = Prediction(Outcome.FINDINGS, (finding,), analyses.CLASSES)
    about = {"key": "5a" * 32, "identity": analyses.SKIN_MODEL, "frame_of_reference_uid": "", "advice": {"mel": "See a specialist."}}
    return [path], analysed([path], photograph, prediction, heat=heat, **about)


def write_results(analysis: Analysis, kinds: tuple[ReportKind, ...], folder: Path) -> list[Path]:
    """The objects of those kinds and the report that names them, as files."""
    folder.mkdir(parents=True)
    made = [one for kind in kinds for one in by_kind.encode(kind, analysis)]
    named = replace(analysis, companions=tuple(by_kind.companion(analysis, one) for one in made))
    paths = []
    for number, one in enumerate([*made, document.encode(named)]):
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(one.content)
    return paths


def stored(pacs: Orthanc, paths: list[Path], analysis: Analysis, kinds: tuple[ReportKind, ...], folder: Path, listed: set[str]) -> Study:
    """The unit and its results, in the PACS."""
    for path in [*paths, *write_results(analysis, kinds, folder)]:
        with urllib.request.urlopen(f"http://127.0.0.1:{pacs.http_port}/instances", data=path.read_bytes(), timeout=300):
            pass
    return Study(analysis.source.study_instance_uid, analysis, frozenset(listed))


def pacs_with_dicomweb(folder: Path) -> Orthanc:
    pacs = Orthanc(tool("Orthanc", "orthanc"), folder)
    if pacs.dicomweb is None:
        _lacking(f"{DICOMWEB} is not there: apt-get install orthanc-dicomweb")
    return pacs


@contextmanager
def viewer(pacs: Orthanc, folder: Path) -> Iterator[Ohif]:
    """OHIF in front of the PACS."""
    chromium, built = tool("chromium", "chromium"), ohif_files.folder()
    if built is None:
        _lacking("OHIF has not been fetched: make viewer")
    assert built is not None
    server, browser = ViewerServer(built, pacs.http_port), Browser(chromium, folder)
    server.start()
    try:
        browser.start()
        yield Ohif(browser, server.url)
    finally:
        browser.stop()
        server.stop()


def _lacking(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def coloured(page: Ohif) -> NDArray[np.float64]:
    """(n, 2) x and y on the page of the coloured pixels of the image, without the viewport's rim, where the viewer writes."""
    pixels = np.asarray(Image.open(io.BytesIO(page.browser.png())).convert("RGB")).astype(int)
    left, top, right, bottom = page.viewport()
    inner = np.zeros(pixels.shape[:2], bool)
    inner[int(top) + 90 : int(bottom) - 90, int(left) + 60 : int(right) - 60] = True
    y, x = np.nonzero(inner & (np.ptp(pixels, axis=2) > COLOURED))
    return np.stack([x, y], axis=1).astype(float)


def amber(page: Ohif) -> int:
    """How many pixels have the colour of the page's badge for research: the PDF is drawn."""
    pixels = np.asarray(Image.open(io.BytesIO(page.browser.png())).convert("RGB")).astype(int)
    return int((np.abs(pixels - (0xF0, 0xB2, 0x32)).max(axis=2) < 12).sum())


def keep(page: Ohif, name: str) -> Path:
    """A screenshot among the artefacts of the run: to be looked at."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return page.picture(ARTEFACTS / f"{name}.png")
