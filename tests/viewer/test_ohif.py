"""OHIF displays the result objects of synthetic images, which it reads from Orthanc."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from core.records import Prediction
from core.states import Outcome, ResultKind
from deploy.demo.viewer.ohif_page import MEASUREMENTS, SEGMENTATIONS, OhifPage
from tests.support.analyses import LOOKED_FOR
from tests.support.viewer import (
    Study,
    chest_with_two_nodules,
    coloured_pixels,
    count_badge_pixels,
    ohif_viewer,
    pacs_with_dicomweb,
    photograph_of_melanoma,
    save_screenshot,
    store_study,
    wait_until,
)
from workers.encode.objects import by_kind
from workers.encode.sr.measurement_groups import EXCLUDES_NOTHING

pytestmark = pytest.mark.timeout(3600)
NO_FINDING_SEED = 32
REFUSED = "could not be added to the viewport"
# The notice disappears after some seconds, in which a busy machine may not look at the page: the page itself notes that it was there.
WATCH = """text => {
    window.noticeSeen = false;
    new MutationObserver(() => { window.noticeSeen ||= document.body.innerText.includes(text); })
        .observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@dataclass(frozen=True, slots=True)
class ViewerStudies:
    """The viewer and the studies that the PACS has."""

    page: OhifPage
    ct: Study
    skin: Study
    empty: Study


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerStudies]:
    folder = tmp_path_factory.mktemp("viewer")
    pacs = pacs_with_dicomweb(folder / "pacs")
    pacs.start()
    try:
        paths, analysis = chest_with_two_nodules(folder / "ct")
        kinds = (ResultKind.SEG, ResultKind.HEATMAP, ResultKind.KEY_IMAGES, ResultKind.PDF)
        ct = store_study(pacs, paths, analysis, kinds, folder / "ct-results", {"CT", "SEG", "OT", "KO", "DOC", "SR"})
        paths, analysis = photograph_of_melanoma(folder / "skin")
        kinds = (ResultKind.SEG, ResultKind.HEATMAP, ResultKind.PDF)
        skin = store_study(pacs, paths, analysis, kinds, folder / "skin-results", {"DMS", "SR"})
        paths, analysis = chest_with_two_nodules(folder / "empty", NO_FINDING_SEED)
        nothing = replace(analysis, prediction=Prediction(Outcome.NO_FINDING, looked_for=LOOKED_FOR))
        empty = store_study(pacs, paths, nothing, (), folder / "empty-results", {"CT", "SR"})
        with ohif_viewer(pacs) as page:
            yield ViewerStudies(page, ct, skin, empty)
    finally:
        pacs.stop()


def only_disc_is_coloured(page: OhifPage, position_mm: tuple[float, float, float], diameter_mm: float, voxel_mm: float) -> bool:
    """Whether the coloured pixels are a disc: its middle within a voxel, its area within 30 %, nothing more than 2 voxels outside."""
    x, y, z = position_mm
    pixels, centre = coloured_pixels(page), np.array(page.page_position(position_mm))
    radius = float(np.linalg.norm(np.array(page.page_position((x + diameter_mm / 2, y, z))) - centre))
    voxel = radius / diameter_mm * 2 * voxel_mm
    return bool(
        len(pixels) == pytest.approx(np.pi * radius**2, rel=0.3)
        and np.linalg.norm(pixels.mean(axis=0) - centre) <= voxel
        and np.linalg.norm(pixels - centre, axis=1).max() <= radius + 2 * voxel
    )


def coloured_at(page: OhifPage, position_mm: tuple[float, float, float]) -> bool:
    """Whether a coloured pixel is within 6 CSS pixels of a position. Both are read: the viewer may still move or scale the image."""
    distances = np.linalg.norm(coloured_pixels(page) - np.array(page.page_position(position_mm)), axis=1)
    return bool((distances <= 6.0).any())


def test_segmentation_is_drawn_on_its_nodules_and_nowhere_else(studies: ViewerStudies) -> None:
    page, findings = studies.page, studies.ct.analysis.prediction.findings
    volume = studies.ct.analysis.item
    page.open_study(studies.ct.uid, studies.ct.listed)
    save_screenshot(page, "ct-opened")
    page.open_series("SEG", load=True)
    page.open_panel(SEGMENTATIONS)
    assert [row.split("\n")[-1] for row in page.panel_rows(2)] == ["nodule 1", "nodule 2"]
    for number, finding in enumerate(findings, 1):
        assert finding.position_mm is not None
        assert finding.diameter_mm is not None
        page.click_row(number - 1)
        page.scroll_to_image(finding.sop_instance_uid)
        position, diameter_mm = finding.position_mm, finding.diameter_mm
        wait_until(page, "the nodule and nothing else", partial(only_disc_is_coloured, page, position, diameter_mm, volume.spacing_mm[1]))
        save_screenshot(page, f"ct-segmentation-{number}")
    seen = [volume.sop_instance_uids.index(finding.sop_instance_uid) for finding in findings]
    far = max(range(len(volume.sop_instance_uids)), key=lambda index: min(abs(index - other) for other in seen))
    page.scroll_to_image(volume.sop_instance_uids[far])
    wait_until(page, "a slice without outline", lambda: len(coloured_pixels(page)) == 0)
    save_screenshot(page, "ct-far-away")


def test_report_goes_to_its_first_finding_and_draws_an_arrow(studies: ViewerStudies) -> None:
    page, first = studies.page, studies.ct.analysis.prediction.findings[0]
    page.open_study(studies.ct.uid, studies.ct.listed)
    page.open_series("SR")
    page.wait_for_annotation("Diameter: 24.00 mm")
    page.wait_for_image(first.sop_instance_uid)
    assert first.position_mm is not None
    wait_until(page, "the arrow's tip on the nodule", partial(coloured_at, page, first.position_mm))
    save_screenshot(page, "ct-report")


def test_measurements_are_listed_and_a_click_goes_to_their_image(studies: ViewerStudies) -> None:
    page, findings = studies.page, studies.ct.analysis.prediction.findings
    page.open_study(studies.ct.uid, studies.ct.listed)
    page.open_series("SR", load=True)
    page.open_panel(MEASUREMENTS)
    for row in page.panel_rows(len(findings)):
        assert "A place to look at." in row
        assert "Nodule" in row
        assert "Lung" in row
    for index in (1, 0):
        page.click_row(index)
        page.wait_for_image(findings[index].sop_instance_uid)
        save_screenshot(page, f"ct-measurement-{index + 1}")


def test_heat_map_and_pdf_are_displayed_and_key_objects_are_refused(studies: ViewerStudies) -> None:
    """Heat map and PDF are the fallback for object kinds that the viewer does not display."""
    page, analysis = studies.page, studies.ct.analysis
    page.open_study(studies.ct.uid, studies.ct.listed)
    page.page.evaluate(WATCH, REFUSED)
    page.open_series("KO")
    page.page.wait_for_function("() => window.noticeSeen")
    assert set(page.listed_modalities()) >= studies.ct.listed, "the list of series is unchanged"
    wait_until(page, "the page without the notice", lambda: REFUSED not in page.text())
    page.open_series("OT")
    first, *_ = by_kind.encode_kind(ResultKind.HEATMAP, analysis)
    page.wait_for_image(first.sop_instance_uid)
    wait_until(page, "the colours of the map", lambda: len(coloured_pixels(page)) > 1000)
    save_screenshot(page, "ct-heat-map")
    page.open_series("DOC")
    wait_until(page, "the PDF, drawn by the browser", lambda: count_badge_pixels(page) > 1000)
    save_screenshot(page, "ct-page")


def test_dermoscopy_opens_with_its_report(studies: ViewerStudies) -> None:
    page = studies.page
    page.open_study(studies.skin.uid, studies.skin.listed)
    assert page.displayed_image() == studies.skin.analysis.prediction.findings[0].sop_instance_uid
    wait_until(page, "the photograph", lambda: len(coloured_pixels(page)) > 10_000)
    assert "SEG" not in page.listed_modalities(), "a segmentation of a photograph breaks the page"
    page.open_series("SR", load=True)
    page.open_panel(MEASUREMENTS)
    (row,) = page.panel_rows(1)
    assert "See a specialist." in row
    assert "elanoma" in row
    save_screenshot(page, "skin-report")


def test_report_without_finding_is_displayed_as_text(studies: ViewerStudies) -> None:
    page = studies.page
    page.open_study(studies.empty.uid, studies.empty.listed)
    page.open_series("SR")
    page.wait_for_text(EXCLUDES_NOTHING)
    page.wait_for_text(LOOKED_FOR)
    save_screenshot(page, "ct-no-finding")
