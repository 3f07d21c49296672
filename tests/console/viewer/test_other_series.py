"""The viewer in Chromium on frames, on a series that is not axial, on one that does not fit into memory, and with two fingers."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from playwright.sync_api import Page

from core.states import UnitKind
from db.complete.units import units_of_study
from deploy.demo.synthetic.chest import make_chest, write_chest
from imaging.frames.frame_series import read_frame_series
from tests.console.viewer.conftest import ViewerNode
from tests.console.viewer.test_multi_frame import flow, loop
from tests.support.chromium import FRAMES_DRAWN
from tests.support.multi_frame import oct_volume
from tests.support.records import rows, scalar
from tests.support.slides import pyramid
from tests.support.viewer_units import receive_files, slide_with_finding

_VIEWER = 'const { viewer } = await import(document.querySelector("script[type=module]").src);'
_GREYS = f"""async () => {{
    {_VIEWER}
    const canvas = viewer.model.picture("z");
    return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).filter((_, at) => at % 4 === 0);
}}"""


def _open(page: Page, node: ViewerNode, files: list[Path]) -> None:
    """Receive a series and open it."""
    (unit,) = units_of_study(node.database, receive_files(node.database, node.blobs, files, UnitKind.SERIES))
    page.goto(f"{node.console.url}/viewer/{unit.id}")
    page.wait_for_selector("body[data-loaded]")


def test_frames_are_shown_with_their_own_values_and_no_hounsfield_units(page: Page, node: ViewerNode, tmp_path: Path) -> None:
    file = tmp_path / "oct.dcm"
    made = oct_volume([False, False], seed=71)
    made.PixelData = np.linspace(0, 255, 2 * 60 * 80).astype(np.uint8).tobytes()
    made.save_as(file, enforce_file_format=True)
    _open(page, node, [file])
    page.keyboard.press("End")
    page.evaluate(FRAMES_DRAWN)
    shown = np.array(page.evaluate(_GREYS)).reshape(60, 80)
    place = page.evaluate(f"async () => {{ {_VIEWER} return viewer.model.cross[0]; }}")
    expected = read_frame_series([file], "OPT").grey_volume()[place]
    assert expected.max() == 255
    assert np.array_equal(shown, expected), "also the bright ones"
    page.hover(".view.large canvas")
    assert int(page.inner_text(".view.large .value")) in expected[29:31, 39:41], "in the middle"
    page.keyboard.press("1")
    assert np.array_equal(np.array(page.evaluate(_GREYS)).reshape(60, 80), expected), "no window of Hounsfield units"


def test_a_loop_with_colours_is_shown_in_them_and_no_window_changes_it(page: Page, node: ViewerNode, tmp_path: Path) -> None:
    file, frames = tmp_path / "flow.dcm", flow()
    loop(frames).save_as(file, enforce_file_format=True)
    _open(page, node, [file])
    page.keyboard.press("End")
    page.evaluate(FRAMES_DRAWN)
    read = f"""async () => {{
        {_VIEWER}
        const canvas = viewer.model.picture("z");
        return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
    }}"""
    shown = np.array(page.evaluate(read)).reshape(24, 30, 4)
    assert np.array_equal(shown[..., :3], frames[1])
    assert page.locator('[data-tool="window"]').is_hidden()
    assert page.locator("[data-preset]").count() == 0
    box = page.locator(".view.large canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    assert page.inner_text(".view.large .value").startswith("R ")
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=3)
    page.mouse.up()
    page.keyboard.press("1")
    page.evaluate(FRAMES_DRAWN)
    assert np.array_equal(np.array(page.evaluate(read)).reshape(24, 30, 4), shown), "dragging moves the image"
    assert page.evaluate(f"async () => {{ {_VIEWER} return viewer.main.pan; }}") == [60, 40]


def test_planes_of_a_coronal_series_have_their_names(page: Page, node: ViewerNode, tmp_path: Path) -> None:
    files = write_chest(tmp_path / "chest", make_chest(7, slices=12, size=64, slice_mm=5.0, diameters_mm=(14.0,)))
    for number, path in enumerate(files):
        dataset = pydicom.dcmread(path)
        dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 0, -1], [-100, 5 * number, 100]
        dataset.save_as(path)
    _open(page, node, files)
    page.evaluate(FRAMES_DRAWN)
    titles = page.locator(".view .title").all_inner_texts()
    assert [title.split()[0] for title in titles] == ["Coronal", "Axial", "Sagittal"]
    assert page.locator("[data-plane]").all_inner_texts() == ["Coronal", "Axial", "Sagittal"]
    sides = {side: page.inner_text(f".view.large .{side}") for side in ("left", "right", "top", "bottom")}
    assert sides == {"left": "R", "right": "L", "top": "H", "bottom": "F"}


@pytest.mark.parametrize("levels", [1, 2])
def test_a_place_on_a_whole_slide_is_one_of_its_finest_level(page: Page, node: ViewerNode, tmp_path: Path, levels: int) -> None:
    """The page shows an overview, which is smaller than the finest level."""
    files = [tmp_path / f"{number}.dcm" for number in range(levels)]
    slides = pyramid((20, 40), discs=((10, 20),), study=8700 + levels)[:levels]
    for path, dataset in zip(files, slides, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    rows_high, columns_wide = slides[0].TotalPixelMatrixRows, slides[0].TotalPixelMatrixColumns
    unit = slide_with_finding(node.database, node.blobs, files, (1312.0, 672.0))
    page.goto(f"{node.console.url}/viewer/{unit}")
    page.wait_for_selector("#verdict-box [data-verdicts]")
    page.keyboard.press("m")
    page.locator("#verdict-box details.missed [data-mark]").click()
    box = page.locator(".view.large canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    form = "#verdict-box details.missed"
    assert page.input_value(f"{form} [name=image]") == slides[0].SOPInstanceUID
    given = [float(page.input_value(f"{form} [name={name}]")) for name in ("column", "row")]
    assert given == pytest.approx([columns_wide / 2, rows_high / 2], abs=8), "the middle"
    with page.expect_response("**/verdicts"):
        page.click(f"{form} button.primary")
    page.wait_for_selector("#verdict-box [data-missed]")
    marked = scalar(node.database, f"SELECT image_point FROM verdicts WHERE sop_instance_uid = '{slides[0].SOPInstanceUID}'")
    assert marked == pytest.approx(given)


def test_a_series_that_does_not_fit_into_memory_is_fetched_once(page: Page, node: ViewerNode) -> None:
    """2,100 slices of 512 x 512: a gigabyte holds 2,048 of them. The data of the test are small."""
    page.goto(f"{node.console.url}/viewer/{node.series}")
    page.wait_for_selector("body[data-loaded]")
    asked = page.evaluate("""async () => {
        const { Slices } = await import(document.querySelector("script[type=module]").src.replace("main.js", "slices.js"));
        let asked = 0;
        window.fetch = async (url) => {
            asked++;
            return asked > 3000 ? new Response("{}", { status: 422 }) : new Response(new ArrayBuffer(16 * Number(url.split("/").at(-1))));
        };
        const slices = new Slices("many", [2100, 512, 512], 1050, { onLoad() {}, onEnd() {} });
        slices.size = 8;
        slices.start(Promise.resolve());
        await new Promise((done) => { const look = () => slices.idle === 3 ? done() : setTimeout(look, 10); look(); });
        return asked;
    }""")
    assert 512 <= asked <= 530, "in groups of four"


def test_a_cut_is_drawn_anew_when_one_slice_takes_the_place_of_another(page: Page, node: ViewerNode) -> None:
    page.goto(f"{node.console.url}/viewer/{node.series}")
    page.wait_for_selector("body[data-loaded]")
    rows_shown = page.evaluate(f"""async () => {{
        {_VIEWER}
        const {{ slices, depth }} = viewer.model, first = slices.get(0);
        viewer.scroll("z", -100); // the last slice is displayed, and the first one is the farthest
        slices.most = depth - 1;
        slices.forgetFarthest();
        viewer.model.picture("y");
        slices.wanted = 0;
        slices.keep(0, first);
        const canvas = viewer.model.picture("y"), context = canvas.getContext("2d");
        return [0, depth - 1].map((row) => Array.from(context.getImageData(0, row, canvas.width, 1).data));
    }}""")
    empty = (np.array(rows_shown).reshape(2, -1, 4) == [0x12, 0x15, 0x1A, 0xFF]).all(axis=(1, 2))
    assert empty.tolist() == [True, False], "the first one, at the feet, is here again, and the last one is forgotten"


def test_two_fingers_zoom_and_mark_nothing(page: Page, node: ViewerNode) -> None:
    page.goto(f"{node.console.url}/viewer/{node.series}")
    page.wait_for_selector("#verdict-box [data-verdicts]")
    page.keyboard.press("m")
    page.locator("#verdict-box details.missed [data-mark]").click()
    box = page.locator(".view.large canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        given = [{"x": at[0], "y": at[1], "id": number} for number, at in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": given})

    touch("touchStart", (x - 30, y))
    touch("touchStart", (x - 30, y), (x + 30, y))
    touch("touchMove", (x - 60, y), (x + 60, y))
    touch("touchEnd")
    page.evaluate(FRAMES_DRAWN)
    assert page.input_value("#verdict-box details.missed [name=row]") == ""
    assert page.evaluate(f"async () => {{ {_VIEWER} return viewer.main.zoom; }}") > 1
    touch("touchStart", (x, y))
    touch("touchEnd")
    page.wait_for_function("() => document.querySelector('#verdict-box details.missed [name=row]').value !== ''")


def test_a_key_judges_the_finding_that_the_viewer_shows(page: Page, node: ViewerNode) -> None:
    """Also where it was chosen in the viewer, by its address, by a key or by a click, and not in the panel."""
    of_unit = f"JOIN findings f ON f.id = v.finding_id JOIN jobs j ON j.id = f.job_id WHERE j.unit_id = {node.series}"
    judged = f"SELECT f.ordinal FROM verdicts v {of_unit} ORDER BY v.id"
    page.goto(f"{node.console.url}/viewer/{node.series}?finding=2")
    page.wait_for_selector("#verdict-box [data-verdicts]")
    page.wait_for_selector('ol.findings [data-finding="2"][aria-current=true]')
    with page.expect_response("**/verdicts"):
        page.keyboard.press("a")
    page.wait_for_selector("#verdict-box .verdict-accepted")
    assert rows(node.database, judged) == [(2,)]
    page.keyboard.press("p")
    page.wait_for_selector('ol.findings [data-finding="1"][aria-current=true]')
    page.keyboard.press("n")
    page.keyboard.press("r")
    assert page.locator("#verdict-box details[data-key=r][open]").count() == 1
    assert page.locator('#verdict-box li[data-ordinal="2"] details[data-key=r][open]').count() == 1
    page.keyboard.press("k")
    page.wait_for_selector('ol.findings [data-finding="1"][aria-current=true]')  # the panel goes on from the finding that is shown
    with page.expect_response("**/verdicts"):
        page.keyboard.press("a")
    page.wait_for_selector('#verdict-box li[data-ordinal="1"] .verdict-accepted')
    assert rows(node.database, judged) == [(2,), (1,)]
