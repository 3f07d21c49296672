"""What the viewer says where it cannot show images, in plain words: deleted, missing, altered, too large, too slow, no volume."""

import asyncio
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from console.viewer import render_pool
from console.viewer.render_cache import RenderCache
from console.viewer.render_pool import RenderOrder, RenderPool, start_process
from console.viewer.rendered_unit import RenderedUnit
from core.settings.web.viewer import ViewerSection
from core.states import UnitKind
from deploy.demo.synthetic.chest import make_chest, write_chest
from tests.console.viewer.conftest import ViewerNode, open_viewer
from tests.console.viewer.test_pixels import named
from tests.support.console import Browser
from tests.support.viewer_units import receive_files


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of a small series."""
    return write_chest(tmp_path_factory.mktemp("small"), make_chest(9, slices=12, size=64, slice_mm=5.0, diameters_mm=(20.0,)))


def _finish(pool: RenderPool, files: list[tuple[Path, str]]) -> RenderedUnit:
    rendering = pool.start(RenderOrder("unit-1-x", "series", files))
    assert asyncio.run(rendering.wait_until_finished(300))
    return rendering


def test_images_that_retention_has_deleted_are_explained_and_leave_the_cache(node: ViewerNode, browser: Browser, chest: list[Path]) -> None:
    study = receive_files(node.database, node.blobs, chest, UnitKind.SERIES)
    with node.database.begin() as connection:
        query = "SELECT u.id FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id"
        unit = connection.execute(text(f"{query} WHERE st.study_instance_uid = :uid"), {"uid": study}).scalar_one()
    data = open_viewer(browser, f"/viewer/{unit}")
    assert not data["problem"]
    assert browser.get(f"{data['base']}/slices/0/12").status_code == 200
    cached = node.data_dir / "viewer-cache"
    assert list(cached.glob(f"unit-{unit}-*"))
    with node.database.begin() as connection:
        connection.execute(text("UPDATE instances SET removed_at = node_now() WHERE unit_id = :unit"), {"unit": unit})
    page = browser.get(f"/viewer/{unit}").text
    assert "deleted by the node&#39;s retention" in page
    assert not list(cached.glob(f"unit-{unit}-*"))
    assert browser.get(f"{data['base']}/slices/0/1").status_code == 410


def test_a_missing_and_an_altered_file_are_named_as_such(pool: RenderPool, chest: list[Path], tmp_path: Path) -> None:
    files = named(chest)
    assert "1 of 12 files missing" in _finish(pool, [*files[:-1], (tmp_path / "gone", files[-1][1])]).failure
    altered = tmp_path / "altered"
    altered.write_bytes(chest[0].read_bytes()[:-2] + b"\1\1")
    assert "altered" in _finish(pool, [(altered, files[0][1]), *files[1:]]).failure


def test_what_is_no_image_fails_with_a_reason_and_leaves_nothing(pool: RenderPool, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"not an image")
    rendering = _finish(pool, named([path]))
    assert "SOPClassUID, SOPInstanceUID, StudyInstanceUID, SeriesInstanceUID missing or empty" in rendering.failure
    pool.close()
    assert not list(pool.cache.folder.iterdir())


def test_slices_with_a_gap_are_shown_as_a_stack_with_the_reason(pool: RenderPool, chest: list[Path]) -> None:
    rendering = _finish(pool, named([*chest[:5], *chest[6:]]))
    assert not rendering.failure
    assert rendering.meta is not None
    assert "a gap: 1 slice is missing" in rendering.meta["reason"]
    assert rendering.meta["affine"] is None
    assert rendering.meta["shape"] == [11, 64, 64]


def test_a_unit_beyond_a_limit_is_not_shown_and_the_limit_is_named(
    chest: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_pool, "start_process", start_process)  # a program, which takes longer than 0.05 s to start
    pool = RenderPool(ViewerSection(time_s=0.05), RenderCache(tmp_path / "cache", max_bytes=1 << 30, keep_s=3600))
    try:
        assert "took longer than the 0.05 s" in _finish(pool, named(chest)).failure
    finally:
        pool.close()
    pool = RenderPool(ViewerSection().model_copy(update={"memory_mib": 1}), RenderCache(tmp_path / "cache", max_bytes=1 << 30, keep_s=3600))
    try:
        assert "1 MiB that console.viewer.memory_mib allows" in _finish(pool, named(chest)).failure
    finally:
        pool.close()
    pool = RenderPool(ViewerSection(), RenderCache(tmp_path / "cache", max_bytes=1000, keep_s=3600))
    try:
        assert "cannot be read or written: File too large" in _finish(pool, named(chest)).failure
    finally:
        pool.close()


def test_the_cache_forgets_what_was_used_least_recently_and_what_is_old(tmp_path: Path, chest: list[Path]) -> None:
    cache = RenderCache(tmp_path / "cache", max_bytes=250_000, keep_s=3600)  # a series of the test has 98,304 bytes
    pool = RenderPool(ViewerSection(), cache)
    try:
        for number in range(4):
            rendering = pool.start(RenderOrder(f"unit-{number}-x", "series", named(chest)))
            assert asyncio.run(rendering.wait_until_finished(300))
            assert not rendering.failure
    finally:
        pool.close()
    assert sorted(path.name for path in cache.folder.iterdir()) == ["unit-2-x", "unit-3-x"]
    RenderCache(cache.folder, max_bytes=1 << 30, keep_s=-1).make_room(0)
    assert not list(cache.folder.iterdir())
    shutil.rmtree(cache.folder)


def test_what_a_killed_console_has_left_is_removed_and_does_not_disturb(tmp_path: Path, chest: list[Path]) -> None:
    """In a container the next console has the number of the one that was killed."""
    killed = RenderCache(tmp_path / "cache", max_bytes=1 << 30, keep_s=3600).new_folder("unit-1-x", 0)
    (killed / "pixels").write_bytes(b"pixels of a patient")
    pool = RenderPool(ViewerSection(), RenderCache(tmp_path / "cache", max_bytes=1 << 30, keep_s=3600))
    try:
        assert not _finish(pool, named(chest)).failure
    finally:
        pool.close()
    RenderCache(tmp_path / "cache", max_bytes=1 << 30, keep_s=-1).make_room(0)
    assert not killed.exists()


def test_two_requests_at_the_same_moment_start_one_process(pool: RenderPool, chest: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_looked, find = threading.Barrier(2), pool.find

    def find_together(name: str) -> RenderedUnit | None:
        found = find(name)
        both_have_looked.wait(300)
        return found

    monkeypatch.setattr(pool, "find", find_together)
    with ThreadPoolExecutor(2) as threads:
        order = RenderOrder("unit-1-x", "series", named(chest))
        one, other = threads.map(pool.start, [order, order])
    assert one is other
    assert asyncio.run(one.wait_until_finished(300))
    assert not one.failure
