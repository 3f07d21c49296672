"""What render processes make of OCT volumes and whole slides: the frames, and the overview that the heat map lies on."""

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset

from console.viewer.render_process import render
from imaging.frames.frame_series import read_frame_series
from imaging.slide.slide import read_slide
from tests.console.viewer.test_pixels import named
from tests.support.multi_frame import oct_volume
from tests.support.slides import TILE, pyramid


def order(datasets: list[FileDataset], folder: Path) -> dict[str, object]:
    """The order for one series as the console sends it to a render process."""
    paths = [folder / f"{number}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return {"files": [(os.fspath(path), digest) for path, digest in named(paths)], "folder": str(folder), "kind": "series", "first_uid": ""}


def test_frames_of_oct_are_a_stack_of_grey_values(tmp_path: Path) -> None:
    reported: list[dict[str, object]] = []
    given = order([oct_volume([False, True, False])], tmp_path)
    meta = render(given, reported.append, lambda: None)
    series = read_frame_series([tmp_path / "0.dcm"], "OPT")
    assert (meta["kind"], meta["shape"], meta["spacing_mm"]) == ("series", (3, 60, 80), series.spacing_mm)
    assert meta["images"] == [list(series.place(index)) for index in range(3)]
    pixels = np.fromfile(tmp_path / "pixels", "<i2").reshape(meta["shape"])
    assert np.array_equal(pixels, series.grey_volume())
    assert [line["slice"] for line in reported[1:]] == [0, 1, 2]
    assert json.loads(json.dumps(meta))["kind"] == "series"


def test_a_slide_is_its_overview_with_the_scale_of_each_level(tmp_path: Path) -> None:
    meta = render(order(list(reversed(pyramid())), tmp_path), lambda line: None, lambda: None)
    slide = read_slide([tmp_path / "0.dcm", tmp_path / "1.dcm"])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "picture.png")), slide.overview)
    assert (meta["kind"], meta["shape"]) == ("image", (1, *slide.overview.shape[:2]))
    down, across = meta["levels"][slide.levels[0].sop_instance_uid]
    row, column = (2.5 * TILE * down, 5.5 * TILE * across)  # the disc in the middle of its tile, on the overview
    assert slide.overview[round(row), round(column)].mean() > 150 > slide.overview[round(row), round(2.5 * TILE * across)].mean()
    assert json.loads(json.dumps(meta))["levels"].keys() == {level.sop_instance_uid for level in slide.levels}
