"""What OHIF shows of the results, in headless Chromium in front of a real Orthanc; nobody real is in the pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from core.records import Prediction
from core.states import Outcome, ReportKind
from deploy.demo.viewer.ohif_page import MEASUREMENTS, SEGMENTATIONS, Ohif
from tests.support import viewer
from tests.support.analyses import LOOKED_FOR
from tests.support.viewer import Study, amber, coloured, keep
from workers.encode.objects import by_kind
from workers.encode.sr.measurement_groups import EXCLUDES_NOTHING

pytestmark = pytest.mark.timeout(900)
NO_FINDING_SEED = 32
REFUSED = "could not be added to the viewport"


@dataclass(frozen=True, slots=True)
class Ward:
    """The viewer and the studies that it can open."""

    page: Ohif
    ct: Study
    skin: Study
    empty: Study


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    pacs = viewer.pacs_with_dicomweb(folder / "pacs")
    pacs.start()
    try:
        paths, analysis = viewer.chest(folder / "ct")
        kinds = (ReportKind.SEG, ReportKind.HEATMAP, ReportKind.KEY_IMAGES, ReportKind.PDF)
        ct = viewer.stored(pacs, paths, analysis, kinds, folder / "ct-results", {"CT", "SEG", "OT", "KO", "DOC", "SR"})
        paths, analysis = viewer.lesion(folder / "skin")
        kinds = (ReportKind.SEG, ReportKind.HEATMAP, ReportKind.PDF)
        skin = viewer.stored(pacs, paths, analysis, kinds, folder / "skin-results", {"DMS", "SR"})
        paths, analysis = viewer.chest(folder / "empty", NO_FINDING_SEED)
        nothing = replace(analysis, prediction=Prediction(Outcome.NO_FINDING, looked_for=LOOKED_FOR))
        empty = viewer.stored(pacs, paths, nothing, (), folder / "empty-results", {"CT", "SR"})
        with viewer.viewer(pacs, folder / "chromium") as page:
            yield Ward(page, ct, skin, empty)
    finally:
        pacs.stop()


def within(page: Ohif, centre: np.ndarray, reach: float) -> bool:
    """Whether there are coloured pixels, and none farther from ``centre``."""
    pixels = coloured(page)
    return len(pixels) > 0 and bool(np.linalg.norm(pixels - centre, axis=1).max() <= reach)


def test_the_segmentation_is_drawn_on_its_nodules_and_nowhere_else(ward: Ward) -> None:
    page, findings = ward.page, ward.ct.analysis.prediction.findings
    volume = ward.ct.analysis.item
    page.open(ward.ct.uid, ward.ct.listed)
    keep(page, "ct-opened")
    page.show("SEG", load=True)
    page.panel(SEGMENTATIONS)
    assert [row.split("\n")[-1] for row in page.rows(2)] == ["nodule 1", "nodule 2"]
    for number, finding in enumerate(findings, 1):
        assert finding.position_mm is not None
        assert finding.diameter_mm is not None
        page.click_row(number - 1)
        page.go_to(finding.sop_instance_uid)
        x, y, z = finding.position_mm
        centre = np.array(page.on_screen((x, y, z)))
        radius = float(np.linalg.norm(np.array(page.on_screen((x + finding.diameter_mm / 2, y, z))) - centre))
        voxel = radius / finding.diameter_mm * 2 * volume.spacing_mm[1]
        page.browser.wait_for("the outline, and only there", lambda at=centre, reach=radius + 2 * voxel: within(page, at, reach), 120.0)
        keep(page, f"ct-segmentation-{number}")
        pixels = coloured(page)
        assert np.linalg.norm(pixels.mean(axis=0) - centre) <= voxel
        assert len(pixels) == pytest.approx(np.pi * radius**2, rel=0.3)
    seen = [volume.sop_instance_uids.index(finding.sop_instance_uid) for finding in findings]
    far = max(range(len(volume.sop_instance_uids)), key=lambda index: min(abs(index - one) for one in seen))
    page.go_to(volume.sop_instance_uids[far])
    page.browser.wait_for("a slice without outline", lambda: len(coloured(page)) == 0, 60.0)
    keep(page, "ct-far-away")


def test_the_report_goes_to_its_first_finding_and_draws_it(ward: Ward) -> None:
    page, first = ward.page, ward.ct.analysis.prediction.findings[0]
    page.open(ward.ct.uid, ward.ct.listed)
    page.show("SR")
    page.wait_for_text("Diameter: 24.00 mm")
    page.wait_for_image(first.sop_instance_uid)
    page.browser.wait_for("the arrow", lambda: len(coloured(page)) > 0, 60.0)
    keep(page, "ct-report")
    assert first.position_mm is not None
    centre = np.array(page.on_screen(first.position_mm))
    assert np.linalg.norm(coloured(page) - centre, axis=1).min() <= 6.0  # the arrow's tip


def test_measurements_are_listed_and_jump(ward: Ward) -> None:
    page, findings = ward.page, ward.ct.analysis.prediction.findings
    page.open(ward.ct.uid, ward.ct.listed)
    page.show("SR", load=True)
    page.panel(MEASUREMENTS)
    for row in page.rows(len(findings)):
        assert "A place to look at." in row
        assert "Nodule" in row
        assert "Lung" in row
    for index in (1, 0):
        page.click_row(index)
        page.wait_for_image(findings[index].sop_instance_uid)
        keep(page, f"ct-measurement-{index + 1}")


def test_pictures_and_page_are_shown_and_key_objects_do_no_harm(ward: Ward) -> None:
    """What is not shown otherwise is on the pictures and on the page: the fallback."""
    page, analysis = ward.page, ward.ct.analysis
    page.open(ward.ct.uid, ward.ct.listed)
    page.show("KO")
    page.wait_for_text(REFUSED)
    assert set(page.series()) >= ward.ct.listed, "the page stands"
    page.browser.wait_for("the notice to go", lambda: REFUSED not in page.text(), 60.0)
    page.show("OT")
    first, *_ = by_kind.encode(ReportKind.HEATMAP, analysis)
    page.wait_for_image(first.sop_instance_uid)
    page.browser.wait_for("the colours of the map", lambda: len(coloured(page)) > 1000, 60.0)
    keep(page, "ct-heat-map")
    page.show("DOC")
    page.browser.wait_for("the page, in the browser's own reader", lambda: amber(page) > 1000, 120.0)
    keep(page, "ct-page")


def test_dermoscopy_opens_with_its_report(ward: Ward) -> None:
    page = ward.page
    page.open(ward.skin.uid, ward.skin.listed)
    assert page.image() == ward.skin.analysis.prediction.findings[0].sop_instance_uid
    assert len(coloured(page)) > 10_000, "the photograph is drawn"
    assert "SEG" not in page.series(), "what would break the page is not offered"
    page.show("SR", load=True)
    page.panel(MEASUREMENTS)
    (row,) = page.rows(1)
    assert "See a specialist." in row
    assert "elanoma" in row
    keep(page, "skin-report")


def test_a_report_without_finding_is_shown_as_text(ward: Ward) -> None:
    page = ward.page
    page.open(ward.empty.uid, ward.empty.listed)
    page.show("SR")
    page.wait_for_text(EXCLUDES_NOTHING)
    keep(page, "ct-no-finding")
    assert LOOKED_FOR in page.text()
