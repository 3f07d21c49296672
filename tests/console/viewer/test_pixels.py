"""The viewer serves the pixels that the model received, with the outlines and the heat map of its result."""

import asyncio
import base64
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from console.viewer import render_pool
from console.viewer.render_cache import RenderCache
from console.viewer.render_pool import RenderOrder, RenderPool, start_process
from core.records import Mask
from core.settings.web.viewer import ViewerSection
from deploy.demo.inputs import CT_SERIES, dermoscopy
from deploy.demo.synthetic.chest import make_chest, write_chest
from imaging.masks import unpack_mask
from imaging.photograph.read import read_photograph
from imaging.volume.volume import read_volume
from tests.console.viewer.conftest import ViewerNode, open_viewer
from tests.support.console import Browser
from tests.support.real_data import shared_data


def named(files: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return files with their hashes, as a render process is given them."""
    return [(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def _slices(browser: Browser, base: str, first: int, count: int, shape: list[int]) -> NDArray[np.int16]:
    reply = browser.get(f"{base}/slices/{first}/{count}")
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    return np.frombuffer(reply.content, "<i2").reshape(count, *shape[1:])


def test_slices_are_those_that_the_model_received(node: ViewerNode, browser: Browser) -> None:
    base = open_viewer(browser, f"/viewer/{node.series}")["base"]
    meta = browser.get(f"{base}/meta").json()
    assert tuple(meta["shape"]) == node.volume.hu.shape
    assert np.array_equal(np.array(meta["affine"]), node.volume.affine)
    assert [uid for uid, _ in meta["images"]] == list(node.volume.sop_instance_uids)
    for first in range(0, 40, 8):
        assert np.array_equal(_slices(browser, base, first, 8, meta["shape"]), node.volume.hu[first : first + 8])
    wanted = browser.get(f"{base}/first")
    assert wanted.headers["x-slice"] == str(meta["first"])
    assert np.array_equal(np.frombuffer(wanted.content, "<i2").reshape(meta["shape"][1:]), node.volume.hu[meta["first"]])


def test_a_photograph_is_that_which_the_model_received(node: ViewerNode, browser: Browser) -> None:
    base = open_viewer(browser, f"/viewer/{node.photograph}")["base"]
    assert browser.get(f"{base}/meta").json()["kind"] == "image"
    shown = np.asarray(Image.open(io.BytesIO(browser.get(f"{base}/picture").content)))
    assert np.array_equal(shown, node.picture.rgb)


def test_outlines_and_heat_map_lie_where_the_result_has_them(node: ViewerNode, browser: Browser) -> None:
    data = open_viewer(browser, f"/viewer/{node.series}")
    overlays: dict[str, Any] = browser.get(f"{data['base']}/overlays").json()
    assert [mask["ordinal"] for mask in overlays["masks"]] == [1, 2]
    first = overlays["masks"][0]
    box = unpack_mask(Mask(tuple(first["origin"]), tuple(first["shape"]), base64.b64decode(first["bits"])))
    middle = [start + (size - 1) / 2 for start, size in zip(first["origin"], box.shape, strict=True)]
    assert np.allclose(middle, node.volume.index(data["findings"][0]["position"]), atol=0.6)
    heat = overlays["heat"]
    values = np.frombuffer(base64.b64decode(heat["values"]), np.uint8).reshape(heat["shape"])
    peak = [o + s * k for o, s, k in zip(heat["origin"], heat["step"], np.unravel_index(values.argmax(), values.shape), strict=True)]
    assert np.abs(np.array(peak) - middle).max() <= 4, "within a cell of the first nodule, which has the strongest evidence"


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RenderPool:
    """A pool that starts its processes as the product does."""
    monkeypatch.setattr(render_pool, "start_process", start_process)
    return RenderPool(ViewerSection(), RenderCache(tmp_path / "cache", max_bytes=1 << 30, keep_s=3600))


def test_real_images_are_decoded_as_for_the_model(pool: RenderPool, tmp_path: Path) -> None:
    files = sorted((shared_data() / "ct" / CT_SERIES).rglob("*.dcm"))
    picture_file, *_ = dermoscopy(None, tmp_path, synthetic=False).files
    try:
        series = pool.start(RenderOrder("series", "series", named(files)))
        picture = pool.start(RenderOrder("picture", "image", named([picture_file])))
        for rendering in (series, picture):
            assert asyncio.run(rendering.wait_until_finished(300))
            assert not rendering.failure
    finally:
        pool.close()
    served = np.frombuffer(series.read_slices(0, len(files)), "<i2")
    assert np.array_equal(served, read_volume(files).hu.ravel())
    assert np.array_equal(np.asarray(Image.open(picture.picture)), read_photograph(picture_file).rgb)


def test_the_other_slices_are_decoded_once_one_of_them_is_wanted(pool: RenderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_pool, "OTHERS_AFTER_S", 600.0)
    files = write_chest(tmp_path / "chest", make_chest(5, slices=12, size=64, slice_mm=5.0, diameters_mm=(14.0,)))
    try:
        series = pool.start(RenderOrder("series", "series", named(files)))
        assert asyncio.run(series.wait(lambda: series.meta is not None and series.has_slices(series.meta["first"], 1), 300))
        assert not series.has_slices(0, 1)
        series.want_others()
        assert asyncio.run(series.wait_until_finished(300))
    finally:
        pool.close()
    assert np.array_equal(np.frombuffer(series.read_slices(0, 12), "<i2"), read_volume(files).hu.ravel())
