"""A viewer that is open while images arrive: its list grows and says so, and the image that is read stays where it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from playwright.sync_api import Page

from core.states import UnitKind
from db.complete.content_conflicts import list_undecided, settle_conflict
from db.complete.units import units_of_study
from deploy.demo.synthetic.chest import make_chest, write_chest
from imaging.volume.volume import read_volume
from tests.console.viewer.conftest import ViewerNode, open_viewer
from tests.support.chromium import FRAMES_DRAWN
from tests.support.console import Browser
from tests.support.records import rows, scalar
from tests.support.viewer_units import receive_files, series_with_findings

_VIEWER = 'const { viewer } = await import(document.querySelector("script[type=module]").src);'
_SHOWN = f"""async () => {{
    {_VIEWER}
    const {{ model, main }} = viewer, canvas = model.picture("z"), [z] = model.cross, finding = model.findings[0];
    const greys = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.filter((_, at) => at % 4 === 0);
    return {{
        image: model.meta.images[z][0], depth: model.depth, zoom: main.zoom, pan: main.pan, width: model.window.width,
        greys: Array.from(greys),
        outlined: finding ? Array.from({{ length: model.depth }}, (_, at) => model.masks.outline(finding.ordinal, "z", at) !== null) : [],
        heat: model.heat ? Array.from({{ length: model.depth }}, (_, at) => model.heat.picture("z", at) !== null) : [],
    }};
}}"""


@pytest.fixture
def files(tmp_path: Path, request: pytest.FixtureRequest) -> list[Path]:
    """The files of a chest of 40 slices, from the feet on; each test has one of its own."""
    made = make_chest(sum(request.node.name.encode()), slices=40, size=96, slice_mm=5.0, diameters_mm=(14.0, 24.0))
    return _upwards(write_chest(tmp_path / "chest", made))


def _upwards(files: list[Path]) -> list[Path]:
    return sorted(files, key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))


def _receive(node: ViewerNode, files: list[Path]) -> int:
    """Receive files of a series; return its unit."""
    (unit,) = units_of_study(node.database, receive_files(node.database, node.blobs, files, UnitKind.SERIES))
    return unit.id


def _openings(node: ViewerNode, unit: int) -> list[dict[str, Any]]:
    found = rows(node.database, "SELECT details FROM audit_events WHERE action = 'viewer.opened' ORDER BY id")
    return [details for (details,) in found if details["unit"] == unit]  # type: ignore[index, call-overload]


def _open(page: Page, node: ViewerNode, path: str) -> None:
    page.goto(f"{node.console.url}{path}")
    page.wait_for_selector("body[data-loaded]")
    page.evaluate(FRAMES_DRAWN)


def test_the_list_grows_while_a_series_arrives_and_the_reader_stays(page: Page, node: ViewerNode, files: list[Path]) -> None:
    """The first half comes, then a slice between two that are here, then the rest: no volume, and at the end one."""
    unit = _receive(node, [*files[:12], *files[13:20]])
    _open(page, node, f"/viewer/{unit}")
    page.keyboard.press("PageUp")
    page.keyboard.press("3")
    page.keyboard.press("+")
    page.evaluate(FRAMES_DRAWN)
    before = page.evaluate(_SHOWN)
    assert before["depth"] == 19
    with page.expect_request(lambda request: "/slices/" in request.url):
        _receive(node, [files[12], *files[20:]])
        page.wait_for_selector("#news:not([hidden]) >> text=21 new images, 40 in all")
    page.wait_for_selector("body[data-kind=volume]")
    page.wait_for_function(f"async () => {{ {_VIEWER} return viewer.model.slices.loaded === 40; }}")
    page.evaluate(FRAMES_DRAWN)
    after = page.evaluate(_SHOWN)
    for name in ("image", "zoom", "pan", "width", "greys"):
        assert after[name] == before[name], f"the reader is not moved: {name}"
    assert after["depth"] == 40
    assert page.inner_text("#status") == "21 new images, 40 in all."
    assert f"slice {page.input_value('#slice')} of 40" in str(page.get_attribute("#slice", "aria-valuetext"))
    assert [one["images"] for one in _openings(node, unit)] == [19, 40], "the new images were seen, too"
    volume = read_volume(files)
    shown = page.evaluate(
        f"async () => {{ {_VIEWER} return Array.from({{ length: 40 }}, (_, z) => Array.from(viewer.model.slices.get(z))); }}"
    )
    assert np.array_equal(np.array(shown).reshape(volume.hu.shape), volume.hu), "each in its place"
    page.click("#news button")
    assert page.locator("#news").is_hidden()


def test_outlines_stay_on_their_slices_when_images_arrive_below_them(page: Page, node: ViewerNode, tmp_path: Path) -> None:
    made = make_chest(91, slices=40, size=96, slice_mm=5.0, diameters_mm=(14.0, 24.0))
    nodules = [(nodule.position_mm, nodule.diameter_mm) for nodule in made.nodules]
    order = _upwards(write_chest(tmp_path / "chest", made))
    low = int(min(position[2] - diameter - made.origin_mm[2] for position, diameter in nodules) / 5.0)
    assert low > 2, "slices below both nodules"
    unit, _ = series_with_findings(node.database, node.blobs, order[low:], nodules)
    _open(page, node, f"/viewer/{unit}?finding=1")
    page.wait_for_selector("body.with-heat")
    page.wait_for_selector('ol.findings [data-finding="1"][aria-current=true]')
    page.evaluate(FRAMES_DRAWN)
    before = page.evaluate(_SHOWN)
    assert page.locator("#newer").is_hidden()
    _receive(node, order[:low])
    page.wait_for_selector(f"#news:not([hidden]) >> text={low} new images, 40 in all")
    page.evaluate(FRAMES_DRAWN)
    after = page.evaluate(_SHOWN)
    assert (after["image"], after["greys"], after["depth"]) == (before["image"], before["greys"], 40)
    for name in ("outlined", "heat"):
        assert after[name] == [False] * low + before[name], f"the model was not given the new slices: {name}"
    assert sum(before["outlined"]) >= 3
    assert page.locator("#newer").is_visible()
    assert "does not cover them" in page.inner_text("#newer")


def test_an_image_of_the_result_that_was_replaced_is_not_put_below_its_outlines(page: Page, node: ViewerNode, files: list[Path]) -> None:
    unit, _ = series_with_findings(node.database, node.blobs, files, [])
    _open(page, node, f"/viewer/{unit}")
    before = page.evaluate(_SHOWN)
    changed = pydicom.dcmread(files[20])
    changed.PixelData = bytes(len(changed.PixelData))
    changed.save_as(files[20])
    _receive(node, [files[20]])
    (undecided,) = list_undecided(node.database, 5)
    settle_conflict(node.database, undecided.id, same=False)
    page.wait_for_selector("#news:not([hidden]) >> text=were replaced since")
    assert page.evaluate(_SHOWN) == before
    assert len(_openings(node, unit)) == 1


def test_a_newer_result_is_offered(page: Page, node: ViewerNode, files: list[Path]) -> None:
    unit, _ = series_with_findings(node.database, node.blobs, files[:30], [])
    _open(page, node, f"/viewer/{unit}")
    assert page.locator("#news").is_hidden()
    series_with_findings(node.database, node.blobs, files, [])
    page.wait_for_selector("#news:not([hidden]) a:not([hidden])")
    page.click("#news a")
    page.wait_for_url("**?job=*")
    page.wait_for_selector("body[data-loaded]")
    shown = scalar(node.database, f"SELECT max(id) FROM jobs WHERE unit_id = {unit}")
    assert page.url.endswith(f"/viewer/{unit}?job={shown}")
    assert f"job {shown}, revision 2" in page.inner_text("#findings")


def test_only_the_session_that_has_opened_a_unit_may_follow_it_and_asking_is_no_view(
    node: ViewerNode, browser: Browser, files: list[Path]
) -> None:
    unit = _receive(node, files[:10])
    base = open_viewer(browser, f"/viewer/{unit}")["base"]
    state = browser.get(f"{base}/state")
    assert state.headers["cache-control"] == "no-store"
    assert (state.json()["changed"], state.json()["images"], state.json()["receiving"]) == (False, 10, True)
    _receive(node, files[10:14])
    assert browser.get(f"{base}/state").json()["changed"] is True
    assert len(_openings(node, unit)) == 1
    with node.console.browser() as other:
        other.sign_in("admin")
        assert other.get(f"{base}/state").status_code == 404
        assert other.get(f"{base}/newer").status_code == 404
    newer = browser.get(f"{base}/newer").json()
    assert [one["images"] for one in _openings(node, unit)] == [10, 14]
    assert browser.get(f"{newer['base']}/meta").json()["shape"][0] == 14
    assert browser.get(f"{newer['base']}/slices/0/14").status_code == 200
    assert browser.get(f"{newer['base']}/state").json()["changed"] is False
    for entry in (node.data_dir / "viewer-cache").glob(f"unit-{unit}-*"):
        (entry / "meta-2.json").unlink(missing_ok=True)  # one is still being decoded
    assert browser.get(f"{newer['base']}/slices/0/14").status_code == 200, "decoded again where the cache has lost them"


def test_another_series_of_the_study_joins_the_list_of_its_series(page: Page, node: ViewerNode, files: list[Path]) -> None:
    unit = _receive(node, files[:6])
    page.goto(f"{node.console.url}/viewer/{unit}")
    page.wait_for_selector("body[data-loaded]")
    assert page.locator("#of-study a").count() == 0, "a list of one series says nothing"
    for number, path in enumerate(files[6:9], 1):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.SeriesDescription, dataset.SeriesNumber = f"{dataset.SeriesInstanceUID}.9", "<b>冠状 Coronal", 9
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SeriesInstanceUID}.{number}"
        dataset.save_as(path)
    receive_files(node.database, node.blobs, files[6:9], UnitKind.SERIES)
    page.wait_for_selector("#news:not([hidden])")
    assert page.inner_text("#news span") == "More images of this study have arrived."
    listed = page.locator("#of-study a")
    assert listed.all_inner_texts()[1] == "<b>冠状 Coronal"
    assert "3 images" in page.inner_text("#of-study")
    listed.nth(1).click()
    page.wait_for_selector("#of-study [aria-current=page] >> text=Coronal")
    assert page.locator("#of-study [aria-current=page]").inner_text() == "<b>冠状 Coronal"
