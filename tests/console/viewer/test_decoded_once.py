"""A series that grows is decoded once: a later rendering takes over the slices that an earlier one has decoded."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from console.viewer.render_pool import RenderOrder, RenderPool
from console.viewer.render_process import render
from deploy.demo.synthetic.chest import make_chest, write_chest
from imaging.volume.volume import read_volume
from tests.console.viewer.test_multi_frame import MR, flow, loop, order
from tests.console.viewer.test_pixels import named
from tests.support.series import image

MARK = 77  # is in no image


def _decode(pool: RenderPool, files: Sequence[Path], key: int) -> tuple[NDArray[np.int16], list[str]]:
    """Decode a series of unit 1; return the pixels, which may be written, and the SOP Instance UIDs of its slices."""
    rendered = pool.start(RenderOrder(f"unit-1-{key:032x}", "series", named(files)))
    assert asyncio.run(rendered.wait_until_finished(300))
    assert not rendered.failure
    assert rendered.meta is not None
    pixels = np.memmap(rendered.folder / "pixels", "<i2", "r+", shape=tuple(rendered.meta["shape"]))
    return pixels, [uid for uid, _ in rendered.meta["images"]]


def test_only_new_and_changed_slices_are_decoded(pool: RenderPool, tmp_path: Path) -> None:
    files = write_chest(tmp_path / "chest", make_chest(7, slices=12, size=64, slice_mm=5.0, diameters_mm=(14.0,)))
    uid_of = {path: str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in files}
    first, _ = _decode(pool, files[:6], 1)
    first[:] = MARK  # whoever takes them over has the mark, and whoever decodes the files has not
    volume = read_volume(files)
    expected = dict(zip(volume.sop_instance_uids, volume.hu, strict=True))
    grown, uids = _decode(pool, files, 2)
    for path in files:
        shown = grown[uids.index(uid_of[path])]
        assert np.array_equal(shown, np.full_like(shown, MARK) if path in files[:6] else expected[uid_of[path]])
    changed = pydicom.dcmread(files[2])
    changed.PixelData = bytes(len(changed.PixelData))
    changed.save_as(files[2])
    replaced, uids = _decode(pool, files, 3)
    assert [bool((replaced[uids.index(uid_of[path])] == MARK).all()) for path in files] == [True] * 2 + [False] + [True] * 3 + [False] * 6


def test_an_older_step_of_a_series_that_has_grown_leaves_the_cache_when_it_is_not_displayed_any_more(
    pool: RenderPool, tmp_path: Path
) -> None:
    files = write_chest(tmp_path / "chest", make_chest(7, slices=12, size=64, slice_mm=5.0, diameters_mm=(14.0,)))
    for key, count in ((1, 4), (2, 8), (3, 12)):
        _decode(pool, files[:count], key)
    of_another_unit = pool.start(RenderOrder(f"unit-2-{4:032x}", "series", named(files[:4])))
    assert asyncio.run(of_another_unit.wait_until_finished(300))
    for name in (f"unit-1-{1:032x}", f"unit-1-{3:032x}", f"unit-2-{4:032x}"):
        os.utime(pool.cache.path(name), (time.time() - 60, time.time() - 60))
    pool.cache.make_room(0)
    left = sorted(path.name for path in pool.cache.folder.iterdir())
    assert left == [f"unit-1-{2:032x}", f"unit-1-{3:032x}", f"unit-2-{4:032x}"], "the second one was displayed a moment ago"
    again, _ = _decode(pool, files[:4], 1)
    assert len(again) == 4


def test_frames_are_taken_over_where_their_values_are_of_the_same_kind(tmp_path: Path) -> None:
    def decode(datasets: list[pydicom.FileDataset], name: str, earlier: str) -> NDArray[np.uint8]:
        folder = tmp_path / name
        folder.mkdir()
        meta = render(order(datasets, folder) | {"earlier": str(tmp_path / earlier)}, lambda line: None, lambda: None)
        kind = (np.dtype(np.uint8), (3,)) if meta["values"] == "colour" else (np.dtype("<i2"), ())
        return np.memmap(folder / "pixels", kind[0], "r+", shape=(*meta["shape"], *kind[1]))

    of_mr: dict[str, Any] = {"Modality": "MR", "RescaleSlope": None, "RescaleIntercept": None, "RescaleType": None}
    images = [image(study=8601, number=number, sop_class=MR, side=24, **of_mr) for number in range(1, 5)]
    first = decode(images[:2], "first", "none")
    first[:] = MARK
    grown = decode(images, "grown", "first")
    assert [bool((one == MARK).all()) for one in grown] == [True, True, False, False]
    grey = flow()[..., 0]
    in_grey = loop(grey)
    decode([in_grey], "grey", "none")[:] = MARK
    colours = decode([in_grey, loop(flow(), number=2)], "colours", "grey")
    assert np.array_equal(colours, np.concatenate([np.repeat(grey[..., None], 3, axis=3), flow()])), "of another kind: decoded"
