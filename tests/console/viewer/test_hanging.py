"""Planes are displayed as radiologists hang them, in whatever orientation the series was stored, with everything that lies on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from tests.console.viewer.conftest import ViewerNode
from tests.support.chromium import FRAMES_DRAWN
from tests.support.series import image
from tests.support.viewer_units import series_with_findings

SIZE, SPACING_MM, CORNER_MM = (40, 32, 28), (2.0, 2.5, 3.0), (-37.0, -55.0, 410.0)  # along x, y and z of LPS
PLACE, DIAMETER_MM = (9, 21, 18), 14.0  # indices of the nodule: to the right, posterior, nearer to the head
STORED = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "axial, feet first": ((-1, 0, 0), (0, 1, 0)),
    "axial, prone": ((-1, 0, 0), (0, -1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "coronal, head down": ((1, 0, 0), (0, 0, 1)),
    "coronal, on its side": ((0, 0, -1), (1, 0, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "sagittal, anterior at the right": ((0, -1, 0), (0, 0, -1)),
}
LETTERS = {"Axial": "RLAP", "Coronal": "RLHF", "Sagittal": "APHF"}  # left, right, top, bottom
_VIEWER = 'const { viewer } = await import(document.querySelector("script[type=module]").src);'
# For each view: its title, letters, picture, where (u, v) of it is on the page, and the place of the strongest evidence in it.
_VIEWS = f"""async (place) => {{
    {_VIEWER}
    return viewer.views.map((view) => {{
        const plane = view.plane, canvas = viewer.model.picture(plane), size = [canvas.width, canvas.height];
        const greys = Array.from(canvas.getContext("2d").getImageData(0, 0, ...size).data).filter((_, at) => at % 4 === 0);
        const text = (name) => view.element.querySelector(name).textContent;
        const letters = ["left", "right", "top", "bottom"].map((side) => text("." + side)).join("");
        const heat = viewer.model.heat.picture(plane, viewer.model.at(plane)), box = view.canvas.getBoundingClientRect();
        const painted = heat.canvas.getContext("2d").getImageData(0, 0, heat.canvas.width, heat.canvas.height).data;
        const alpha = painted.filter((_, at) => at % 4 === 3);
        const peak = alpha.indexOf(Math.max(...alpha)), column = peak % heat.canvas.width, row = Math.floor(peak / heat.canvas.width);
        const [u, v] = place[text(".title").split(" ")[0]], {{ sx, sy, left, top }} = view.layout();
        return {{
            title: text(".title"), letters, width: size[0], greys,
            page: [box.left + (left + (u + 0.5) * sx) / view.ratio, box.top + (top + (v + 0.5) * sy) / view.ratio],
            heat: [heat.u + (column + 0.5) * heat.width / heat.canvas.width, heat.v + (row + 0.5) * heat.height / heat.canvas.height],
        }};
    }});
}}"""


def _patient() -> NDArray[np.int16]:
    """(X, Y, Z) int16 HU along LPS: noise, with a bright ball."""
    hu: NDArray[np.int16] = np.random.default_rng(8).integers(-1000, -500, SIZE, np.int16)
    grid = np.meshgrid(*(np.arange(count) for count in SIZE), indexing="ij", sparse=True)
    distance2 = sum(((axis - at) * mm) ** 2 for axis, at, mm in zip(grid, PLACE, SPACING_MM, strict=True))
    hu[distance2 <= (DIAMETER_MM / 2) ** 2] = 100
    return hu


def _store(folder: Path, hu: NDArray[np.int16], row: tuple[int, ...], column: tuple[int, ...], study: int) -> list[Path]:
    """Write the patient as a series of this orientation."""
    directions = [np.cross(row, column), np.array(column), np.array(row)]
    axes = [int(np.abs(direction).argmax()) for direction in directions]
    falls = [int(direction[axis]) < 0 for direction, axis in zip(directions, axes, strict=True)]
    stored = hu.transpose(axes)[tuple(slice(None, None, -1 if fall else 1) for fall in falls)]
    first = np.array(CORNER_MM)
    for axis, fall in zip(axes, falls, strict=True):
        first[axis] += SPACING_MM[axis] * (SIZE[axis] - 1) * fall
    paths = []
    for number, pixels in enumerate(stored):
        dataset = image(
            study=study, number=number + 1, Rows=pixels.shape[0], Columns=pixels.shape[1], ImageOrientationPatient=[*row, *column],
            ImagePositionPatient=list(first + directions[0] * SPACING_MM[axes[0]] * number), SliceThickness=SPACING_MM[axes[0]],
            PixelSpacing=[SPACING_MM[axes[1]], SPACING_MM[axes[2]]], RescaleIntercept=0, PixelData=pixels.astype("<i2").tobytes(),
        )  # fmt: skip
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _lps(place: tuple[int, ...]) -> tuple[float, float, float]:
    x, y, z = (corner + at * mm for corner, at, mm in zip(CORNER_MM, place, SPACING_MM, strict=True))
    return x, y, z


def _hung(hu: NDArray[np.int16]) -> tuple[dict[str, NDArray[np.int16]], dict[str, tuple[int, int]]]:
    """The planes through the nodule as they are hung, (V, U), and the nodule's (u, v) on each."""
    x, y, z = PLACE
    planes = {"Axial": hu[:, :, z].T, "Coronal": hu[:, y, ::-1].T, "Sagittal": hu[x, :, ::-1].T}
    below = SIZE[2] - 1 - z
    return planes, {"Axial": (x, y), "Coronal": (x, below), "Sagittal": (y, below)}


@pytest.mark.parametrize("stored", STORED)
def test_every_plane_hangs_in_the_usual_way_with_what_lies_on_it(page: Page, node: ViewerNode, tmp_path: Path, stored: str) -> None:
    hu = _patient()
    files = _store(tmp_path, hu, *STORED[stored], study=7300 + list(STORED).index(stored))
    unit, volume = series_with_findings(node.database, node.blobs, files, [(_lps(PLACE), DIAMETER_MM)])
    planes, places = _hung(hu)
    page.goto(f"{node.console.url}/viewer/{unit}?finding=1")
    page.wait_for_selector("body[data-loaded].with-heat")
    page.wait_for_selector("#verdict-box [data-verdicts]")
    page.evaluate(FRAMES_DRAWN)
    views: list[dict[str, Any]] = page.evaluate(_VIEWS, places)
    names = [view["title"].split()[0] for view in views]
    assert names[0] == stored.split(",")[0].capitalize(), "the stored images in the large view"
    assert sorted(names) == sorted(LETTERS)
    for name, view in zip(names, views, strict=True):
        assert view["letters"] == LETTERS[name]
        shown = np.array(view["greys"]).reshape(-1, view["width"])
        expected = np.floor(np.clip((planes[name] - (-600 - 750)) / 1500 * 255, 0, 255) + 0.5)
        assert np.array_equal(shown, expected), f"{name} of a series stored {stored}"
        assert np.abs(np.array(view["heat"]) - np.array(places[name]) - 0.5).max() <= 4, "within a cell of the nodule"
    for number in range(len(views)):
        page.evaluate(f"async () => {{ {_VIEWER} viewer.model.chosen = null; }}")
        page.mouse.click(*page.evaluate(_VIEWS, places)[number]["page"])
        page.wait_for_selector('ol.findings [data-finding="1"][aria-current=true]')  # its outline lies there
        page.evaluate(FRAMES_DRAWN)
    for number in range(len(views)):
        form = "#verdict-box details.missed"
        page.evaluate(f"document.querySelector('{form}').open = true")
        page.locator(f"{form} [data-mark]").click()
        page.evaluate(f"for (const name of ['row', 'column']) document.querySelector(`{form} [name=${{name}}]`).value = ''")
        page.evaluate(FRAMES_DRAWN)
        page.mouse.click(*page.evaluate(_VIEWS, places)[number]["page"])  # the views may have moved when the form was opened
        page.wait_for_function(f"() => document.querySelector('{form} [name=row]').value !== ''")
        row, column = (float(page.input_value(f"{form} [name={name}]")) for name in ("row", "column"))
        z = volume.sop_instance_uids.index(page.input_value(f"{form} [name=image]"))
        marked = volume.lps(z, row - 0.5, column - 0.5)
        assert np.abs(np.array(marked) - np.array(_lps(PLACE))).max() <= max(SPACING_MM), "a verdict names this place in the patient"


@pytest.mark.parametrize(("plane", "first"), [("z", "H"), ("y", "A"), ("x", "R")])
def test_slices_are_counted_from_the_head_from_anterior_and_from_the_right(page: Page, node: ViewerNode, plane: str, first: str) -> None:
    page.goto(f"{node.console.url}/viewer/{node.series}")
    page.wait_for_selector("body[data-loaded].with-heat")
    page.click(f'[data-plane="{plane}"]')
    page.keyboard.press("Home")
    page.evaluate(FRAMES_DRAWN)
    assert "slice 1 of" in str(page.get_attribute("#slice", "aria-valuetext"))
    x, y, z = page.evaluate(f"async () => {{ {_VIEWER} return viewer.model.geometry.lpsOf(viewer.model.cross); }}")
    corners = [
        node.volume.lps(*(at * (count - 1) for at, count in zip(ends, node.volume.hu.shape, strict=True)))
        for ends in ((0, 0, 0), (1, 1, 1))
    ]
    (low_x, low_y, low_z), (high_x, high_y, high_z) = (np.array(corners).min(0), np.array(corners).max(0))
    reached = {"H": z == pytest.approx(high_z), "A": y == pytest.approx(low_y), "R": x == pytest.approx(low_x)}
    assert reached[first]
    page.keyboard.press("End")
    page.evaluate(FRAMES_DRAWN)
    x, y, z = page.evaluate(f"async () => {{ {_VIEWER} return viewer.model.geometry.lpsOf(viewer.model.cross); }}")
    ended = {"H": z == pytest.approx(low_z), "A": y == pytest.approx(high_y), "R": x == pytest.approx(high_x)}
    assert ended[first]
