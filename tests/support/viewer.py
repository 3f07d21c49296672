"""Results of a synthetic chest and of a synthetic lesion in Orthanc, displayed by OHIF in Chromium."""

import io
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.concepts import codes
from core.records import Finding, Measurement, Prediction, UnitInput
from core.states import Outcome, ResultKind, Tier
from deploy.demo.pacs.orthanc import DICOMWEB_PLUGIN, Orthanc
from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset, make_lesion
from deploy.demo.viewer import ohif_files
from deploy.demo.viewer.chromium import chromium_page
from deploy.demo.viewer.ohif_page import OhifPage
from deploy.demo.viewer.server import ViewerServer
from imaging.masks import pack_heat_map, pack_mask
from imaging.photograph.read import Photograph, read_photograph
from imaging.volume.volume import Volume, read_volume
from tests.support import analyses
from tests.support.external_programs import tool
from workers.encode.analysis import Analysis
from workers.encode.objects import by_kind
from workers.encode.source_images.source import read_source
from workers.encode.sr import document

SEED = 31
COLOURED = 48  # pixels whose channels differ by more than this are not part of a grey CT image
ARTEFACTS = Path(os.environ.get("CI_ARTEFACTS") or Path(__file__).resolve().parents[2] / "build") / "screenshots"


@dataclass(frozen=True, slots=True)
class Study:
    """A study in the PACS: its UID, the analysis that the results were made from, and the modalities that the viewer lists."""

    uid: str
    analysis: Analysis
    listed: frozenset[str]


def make_analysis(paths: list[Path], item: Volume | Photograph, prediction: Prediction, **others: object) -> Analysis:
    """Make the analysis of files, as a worker does."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    inputs = [UnitInput(str(ds.SOPInstanceUID), str(ds.SOPClassUID), "", str(path)) for ds, path in zip(headers, paths, strict=True)]
    source = read_source(inputs, referenced=[finding.sop_instance_uid for finding in prediction.findings])
    return replace(analyses.ct(prediction), source=source, item=item, **others)  # type: ignore[arg-type]


def chest_with_two_nodules(folder: Path, seed: int = SEED) -> tuple[list[Path], Analysis]:
    """Write a CT series with two nodules to ``folder``; return its files and an analysis that finds, segments and maps both."""
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
                mask=pack_mask(inside),
            )
        )
    prediction = Prediction(Outcome.FINDINGS, tuple(findings), looked_for=analyses.LOOKED_FOR)
    heat = pack_heat_map(evidence, meaning="evidence for nodules")
    about = {"key": f"{seed:02d}" * 32, "frame_of_reference_uid": volume.frame_of_reference_uid, "heat": heat}
    return paths, make_analysis(paths, volume, prediction, advice={"nodule": "A place to look at."}, **about)


def photograph_of_melanoma(folder: Path, seed: int = SEED) -> tuple[list[Path], Analysis]:
    """Write a dermoscopic photograph to ``folder``; return it and an analysis that segments its lesion and calls it a melanoma."""
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
        mask=pack_mask(made.mask[None]),
    )
    heat = pack_heat_map(made.mask[None].astype(np.float32) * 0.9, meaning="evidence for mel")
    prediction = Prediction(Outcome.FINDINGS, (finding,), analyses.CLASSES)
    about = {"key": "5a" * 32, "identity": analyses.SKIN_MODEL, "frame_of_reference_uid": "", "advice": {"mel": "See a specialist."}}
    return [path], make_analysis([path], photograph, prediction, heat=heat, **about)


def write_results(analysis: Analysis, kinds: tuple[ResultKind, ...], folder: Path) -> list[Path]:
    """Write the result objects of those kinds, and the report that refers to them, as files."""
    folder.mkdir(parents=True)
    made = [one for kind in kinds for one in by_kind.encode_kind(kind, analysis)]
    named = replace(analysis, related_objects=tuple(by_kind.related_object(analysis, one) for one in made))
    paths = []
    for number, item in enumerate([*made, document.encode(named)]):
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(item.content)
    return paths


def store_study(
    pacs: Orthanc, paths: list[Path], analysis: Analysis, kinds: tuple[ResultKind, ...], folder: Path, listed: set[str]
) -> Study:
    """Store the images and their results in the PACS."""
    for path in [*paths, *write_results(analysis, kinds, folder)]:
        with urllib.request.urlopen(f"http://127.0.0.1:{pacs.http_port}/instances", data=path.read_bytes(), timeout=600):
            pass
    return Study(analysis.source.study_instance_uid, analysis, frozenset(listed))


def pacs_with_dicomweb(folder: Path) -> Orthanc:
    """Return an Orthanc, not started yet, that answers DICOMweb."""
    pacs = Orthanc(tool("Orthanc", "orthanc"), folder)
    if pacs.dicomweb is None:
        _skip_or_fail(f"{DICOMWEB_PLUGIN} is not installed: apt-get install orthanc-dicomweb")
    return pacs


@contextmanager
def ohif_viewer(pacs: Orthanc) -> Iterator[OhifPage]:
    """Yield OHIF in a page of Chromium, connected to the PACS."""
    chromium, ohif = tool("chromium", "chromium"), ohif_files.find_ohif()
    if ohif is None:
        _skip_or_fail("OHIF has not been downloaded: make viewer")
    assert ohif is not None
    server = ViewerServer(ohif, pacs.http_port)
    server.start()
    try:
        with chromium_page(chromium) as page:
            yield OhifPage(page, server.url)
    finally:
        server.stop()


def wait_until(viewer: OhifPage, what: str, condition: Callable[[], bool], timeout_s: float = 240.0) -> None:
    """Wait until a condition of what is displayed holds, for those that cannot be put as a selector or as JavaScript."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"the viewer did not display {what} within {timeout_s:.0f} s"
        viewer.page.wait_for_timeout(500)


def _skip_or_fail(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def screenshot_pixels(viewer: OhifPage) -> NDArray[np.int_]:
    """Return the page as (Y, X, RGB) from 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(viewer.page.screenshot())).convert("RGB")).astype(int)


def coloured_pixels(viewer: OhifPage) -> NDArray[np.float64]:
    """Return (n, 2) x and y on the page of the coloured pixels of the image, without the border, where the viewer writes text."""
    pixels = screenshot_pixels(viewer)
    left, top, right, bottom = viewer.viewport_box()
    inner = np.zeros(pixels.shape[:2], bool)
    inner[int(top) + 90 : int(bottom) - 90, int(left) + 60 : int(right) - 60] = True
    y, x = np.nonzero(inner & (np.ptp(pixels, axis=2) > COLOURED))
    return np.stack([x, y], axis=1).astype(float)


def count_badge_pixels(viewer: OhifPage) -> int:
    """Count the pixels with the amber of the "research" badge of the PDF: they show that the PDF is drawn."""
    return int((np.abs(screenshot_pixels(viewer) - (0xF0, 0xB2, 0x32)).max(axis=2) < 12).sum())


def save_screenshot(viewer: OhifPage, name: str) -> Path:
    """Save a screenshot with the artefacts of the test run, for people to look at."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return viewer.screenshot(ARTEFACTS / f"{name}.png")
