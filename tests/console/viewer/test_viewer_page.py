"""The viewer in Chromium: it scrolls, jumps to a nodule, changes the window, shows the heat map, and draws the model's pixels."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from deploy.demo.synthetic.chest import make_chest, write_chest
from tests.console.viewer.conftest import ViewerNode
from tests.support.chromium import FRAMES_DRAWN
from tests.support.viewer_units import series_with_findings

# The grey picture behind the view, before it is scaled to the screen: (rows, columns) of the red channel.
_GREYS = """async (plane) => {
    const { viewer } = await import(document.querySelector("script[type=module]").src), canvas = viewer.model.picture(plane);
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return [canvas.width, Array.from(pixels).filter((_, at) => at % 4 === 0), viewer.model.cross];
}"""
_COLOURED = """() => {
    const canvas = document.querySelector(".view.large canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let count = 0;
    for (let at = 0; at < pixels.length; at += 4) {
        const [red, green, blue] = pixels.subarray(at, at + 3);
        if (Math.max(red, green, blue) - Math.min(red, green, blue) > 40) count++;
    }
    return count;
}"""


def _open(page: Page, node: ViewerNode, unit: int) -> None:
    page.goto(f"{node.console.url}/viewer/{unit}")
    page.wait_for_selector("body[data-shown]")


def _greys(page: Page, plane: str = "z") -> tuple[NDArray[np.int_], list[int]]:
    page.evaluate(FRAMES_DRAWN)
    width, values, cross = page.evaluate(_GREYS, plane)
    return np.array(values).reshape(-1, width), cross


def _windowed(hu: NDArray[np.int16], center: float, width: float) -> NDArray[np.int_]:
    grey: NDArray[np.int_] = np.floor(np.clip((hu - (center - width / 2)) / width * 255, 0, 255) + 0.5).astype(int)
    return grey


def test_a_series_is_scrolled_windowed_and_its_nodules_are_found(page: Page, node: ViewerNode) -> None:
    hu = node.volume.hu
    _open(page, node, node.series)
    page.wait_for_selector("body[data-loaded].with-heat")  # with the findings, the page goes to the first one
    assert page.locator(".view").count() == 3

    shown, (z, y, x) = _greys(page)
    assert np.array_equal(shown, _windowed(hu[z], -600, 1500)), "the model's pixels, in the lung window"
    page.click('[data-preset="bone"]')
    assert np.array_equal(_greys(page)[0], _windowed(hu[z], 400, 1800))
    page.keyboard.press("2")
    assert np.array_equal(_greys(page)[0], _windowed(hu[z], 40, 400))
    assert page.get_attribute('[data-preset="soft"]', "aria-pressed") == "true"
    assert np.array_equal(_greys(page, "y")[0], _windowed(hu[::-1, y], 40, 400)), "coronal, the head above"
    assert np.array_equal(_greys(page, "x")[0], _windowed(hu[::-1, :, x], 40, 400)), "sagittal"

    page.hover(".view.large canvas")
    before = page.get_attribute("#slice", "aria-valuetext")
    page.mouse.wheel(0, 100)  # returns before the page has the event
    page.wait_for_function("text => document.querySelector('#slice').getAttribute('aria-valuetext') !== text", arg=before)
    below, cross = _greys(page)
    assert cross[0] == z - 1, "the wheel scrolls towards the feet"
    assert np.array_equal(below, _windowed(hu[z - 1], 40, 400))
    page.keyboard.press("PageUp")
    assert _greys(page)[1][0] == min(z - 1 + 10, len(hu) - 1)

    for number, position in enumerate(_positions(page), 1):
        page.click(f'ol.findings [data-finding="{number}"]')
        assert np.allclose(_greys(page)[1], node.volume.index(position), atol=1), "the cross-hair is in the nodule"
        assert page.get_attribute(f'ol.findings [data-finding="{number}"]', "aria-current") == "true"
    assert "Finding 2, Nodule, axial slice" in page.inner_text("#status")
    page.wait_for_selector("#verdict-box [data-verdicts]")
    page.keyboard.press("m")
    page.locator("#verdict-box details.missed [data-mark]").click()
    box = page.locator(".view.large canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert float(page.input_value("#verdict-box details.missed [name=row]")) == pytest.approx(48, abs=1), "the middle of 96 rows"
    assert page.input_value("#verdict-box details.missed [name=image]") == node.volume.sop_instance_uids[_greys(page)[1][0]]
    assert "slice" in str(page.get_attribute("#slice", "aria-valuetext"))


def _positions(page: Page) -> list[tuple[float, float, float]]:
    """Return the position of each finding as the page has it, LPS mm."""
    given = page.evaluate('() => JSON.parse(document.getElementById("viewer-data").textContent).findings')
    return [tuple(one["position"]) for one in given]


def test_outlines_and_heat_map_are_drawn_and_can_be_switched_off(page: Page, node: ViewerNode) -> None:
    _open(page, node, node.series)
    page.wait_for_selector("body.with-heat")
    page.click('ol.findings [data-finding="1"]')
    page.keyboard.press("x")
    page.evaluate(FRAMES_DRAWN)
    with_both = page.evaluate(_COLOURED)
    page.fill("#heat", "0")
    page.evaluate(FRAMES_DRAWN)
    outline_only = page.evaluate(_COLOURED)
    page.click('[data-action="outlines"]')
    page.evaluate(FRAMES_DRAWN)
    without = page.evaluate(_COLOURED)
    assert with_both > 2 * outline_only > 0
    assert without == 0


def test_a_photograph_is_shown_with_outline_and_heat_map(page: Page, node: ViewerNode) -> None:
    _open(page, node, node.photograph)
    page.wait_for_selector("body.with-heat")
    pixels = page.evaluate("""async () => {
        const { viewer } = await import(document.querySelector("script[type=module]").src), photograph = viewer.model.photograph;
        const canvas = new OffscreenCanvas(photograph.width, photograph.height), context = canvas.getContext("2d");
        context.drawImage(photograph, 0, 0);
        return Array.from(context.getImageData(0, 0, 40, 30).data);
    }""")
    assert np.array_equal(np.array(pixels).reshape(30, 40, 4)[..., :3], node.picture.rgb[:30, :40])
    assert page.locator("#slice").is_hidden()
    page.set_viewport_size({"width": 360, "height": 740})
    page.evaluate(FRAMES_DRAWN)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_texts_stand_above_the_images_and_one_key_leaves_the_image_only(page: Page, node: ViewerNode) -> None:
    _open(page, node, node.series)
    page.wait_for_selector("body.with-heat.with-outlines")
    page.click('ol.findings [data-finding="1"]')
    page.evaluate(FRAMES_DRAWN)
    edges = page.evaluate("""() => [...document.querySelectorAll(".view")].map((view) => [
        view.querySelector(".caption").getBoundingClientRect().bottom, view.querySelector("canvas").getBoundingClientRect().top])""")
    assert len(edges) == 3
    assert all(text <= image for text, image in edges), "a text over the image covers what the image says"
    drawn = page.evaluate(_COLOURED)
    assert drawn > 0
    page.keyboard.press("i")
    page.evaluate(FRAMES_DRAWN)
    assert page.evaluate(_COLOURED) == 0
    assert page.locator(".view.large .letter.left").is_hidden()
    assert page.get_attribute('[data-action="alone"]', "aria-pressed") == "true"
    page.keyboard.press("o")
    page.evaluate(FRAMES_DRAWN)
    assert page.evaluate(_COLOURED) == drawn, "the next key brings back what was drawn"


def test_the_heat_map_has_a_scale_and_says_what_its_values_mean(page: Page, node: ViewerNode) -> None:
    _open(page, node, node.series)
    page.wait_for_selector("body.with-heat")
    page.click('ol.findings [data-finding="1"]')
    page.evaluate(FRAMES_DRAWN)
    assert page.inner_text("#heat-meaning") == "evidence for a nodule"
    assert page.locator(".colours span").all_inner_texts() == ["0.1", "0.5", "1"]
    first, last = page.evaluate("""() => {
        const canvas = document.querySelector("#colours"), context = canvas.getContext("2d");
        return [0, canvas.width - 1].map((x) => Array.from(context.getImageData(x, 0, 1, 1).data).slice(0, 3));
    }""")
    assert (first, last) == ([128, 128, 128], [253, 231, 37]), "from nothing to the colour of 1"
    value = """async () => {
        const { viewer } = await import(document.querySelector("script[type=module]").src), { model } = viewer;
        return model.valueAt(model.cross);
    }"""
    assert re.fullmatch(r"-?\d+ HU · heat map 0\.\d\d", page.evaluate(value))
    page.fill("#heat", "0")
    assert re.fullmatch(r"-?\d+ HU", page.evaluate(value)), "of a map that is not shown"


def test_outlines_are_not_offered_where_no_finding_has_a_place(page: Page, node: ViewerNode, tmp_path: Path) -> None:
    made = make_chest(61, slices=12, size=64, slice_mm=5.0, diameters_mm=(14.0,))
    unit, _ = series_with_findings(node.database, node.blobs, write_chest(tmp_path / "chest", made), [])
    _open(page, node, unit)
    page.wait_for_selector("#verdict-box [data-verdicts]")
    assert page.locator('[data-action="outlines"]').is_hidden()
    assert page.locator('[data-action="cross-hair"]').is_visible()
    _open(page, node, node.series)
    page.wait_for_selector("#verdict-box [data-verdicts]")
    assert page.locator('[data-action="outlines"]').is_visible()
