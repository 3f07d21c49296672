"""A console with a chest, a photograph, and users of every role; shared by the tests of a module, which change nothing of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from console.viewer.render_cache import RenderCache
from console.viewer.render_pool import RenderPool
from core.settings.web.viewer import ViewerSection
from db.blobs.store import Blobs
from db.engine import Database
from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from tests.support.chromium import sign_in
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.viewer_units import photograph_with_finding, series_with_findings

_DATA = re.compile(r'id="viewer-data">(.*?)</script>')


@dataclass(frozen=True, slots=True)
class ViewerNode:
    """A console, the units that it shows, and what their models received."""

    console: RunningConsole
    database: Database
    blobs: Blobs
    data_dir: Path
    series: int
    volume: Volume
    photograph: int
    picture: Photograph


def open_viewer(browser: Browser, path: str) -> dict[str, Any]:
    """Open the page of the viewer and return the data that it gives to its scripts."""
    found = _DATA.search(browser.open(path).text)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.fixture(scope="module")
def node(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerNode]:
    """The node; its chest has three nodules, each with an outline."""
    folder = tmp_path_factory.mktemp("viewer")
    blobs = Blobs(folder / "blobs")
    made = make_chest(5, slices=40, size=96, slice_mm=5.0, diameters_mm=(14.0, 24.0))
    places = [(nodule.position_mm, nodule.diameter_mm) for nodule in made.nodules]
    lesion = folder / "lesion.dcm"
    lesion_dataset(3).save_as(lesion, enforce_file_format=True)
    add_users(module_database)
    series, volume = series_with_findings(module_database, blobs, write_chest(folder / "chest", made), places)
    photograph, picture = photograph_with_finding(module_database, blobs, lesion)
    with RunningConsole(module_database, folder) as console:
        yield ViewerNode(console, module_database, blobs, folder, series, volume, photograph, picture)


@pytest.fixture
def browser(node: ViewerNode) -> Iterator[Browser]:
    """A browser that is signed in as a clinician."""
    with node.console.browser("clinician") as opened:
        yield opened


@pytest.fixture
def page(node: ViewerNode, chromium: Chromium) -> Iterator[Page]:
    """A page that is signed in; an error of a script fails the test."""
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    sign_in(page, node.console.url, "clinician")
    yield page
    page.close()
    assert not errors


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[RenderPool]:
    """A pool with the default limits."""
    made = RenderPool(ViewerSection(), RenderCache(tmp_path / "cache", max_bytes=1 << 30, keep_s=3600))
    yield made
    made.close()
