"""What render processes make of images that are no CT slices: frames with their colours, grey images, and the overview of a slide."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, RLELossless

from console.viewer.render_process import render
from imaging.frames.frame_series import read_frame_series
from imaging.slide.slide import read_slide
from tests.console.viewer.test_pixels import named
from tests.support.multi_frame import ULTRASOUND_LOOP, as_jpeg, multi_frame, oct_volume
from tests.support.series import image
from tests.support.slides import TILE, pyramid

CAPTURE, MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
SAGITTAL, AXIAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def order(datasets: list[FileDataset], folder: Path) -> dict[str, object]:
    """The order for one series as the console sends it to a render process."""
    paths = [folder / f"{number}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    files = [(os.fspath(path), digest) for path, digest in named(paths)]
    return {"files": files, "folder": str(folder), "kind": "series", "first_uid": "", "earlier": ""}


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


def flow(frames: int = 2, size: tuple[int, int] = (24, 30)) -> np.ndarray:
    """(N, Y, X, 3) uint8: a grey image with flow towards the probe in red, and away from it in blue."""
    shown = np.repeat(np.random.default_rng(4).integers(20, 120, (frames, *size, 1), np.uint8), 3, axis=3)
    shown[:, 4:10, 5:12], shown[:, 12:20, 15:25] = (210, 30, 10), (20, 60, 230)
    return shown


def loop(frames: np.ndarray, number: int = 1, **changes: object) -> FileDataset:
    """An ultrasound loop."""
    return multi_frame(frames, study=8500, sop_class=ULTRASOUND_LOOP, modality="US", number=number, **changes)


def in_ybr(frames: np.ndarray) -> FileDataset:
    """The loop in YBR_FULL, uncompressed."""
    converted = [np.asarray(Image.fromarray(frame).convert("YCbCr")) for frame in frames]
    return loop(np.stack(converted), PhotometricInterpretation="YBR_FULL")


def in_palette(frames: np.ndarray) -> FileDataset:
    """The loop with one sample and a palette."""
    colours, numbers = np.unique(frames.reshape(-1, 3), axis=0, return_inverse=True)
    made = loop(numbers.reshape(frames.shape[:3]).astype(np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for channel, name in enumerate(("Red", "Green", "Blue")):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [len(colours), 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", (colours[:, channel].astype("<u2") * 257).tobytes())
    return made


def in_planes(frames: np.ndarray) -> FileDataset:
    """The loop with the three colours of a frame behind each other, compressed as RLE."""
    made = loop(frames)
    made.compress(UID(RLELossless))
    return made


def in_jpeg(frames: np.ndarray) -> FileDataset:
    """The loop in JPEG, which stores one value of colour for four pixels."""
    return as_jpeg(loop(frames))


@pytest.mark.parametrize(("kind", "mean_error"), [(loop, 0), (in_ybr, 1), (in_palette, 0), (in_planes, 0), (in_jpeg, 6)])
def test_ultrasound_keeps_its_colours(tmp_path: Path, kind: Callable[[np.ndarray], FileDataset], mean_error: float) -> None:
    """Not their mean: red is flow towards the probe, and blue away from it."""
    frames = flow()
    meta = render(order([kind(frames)], tmp_path), lambda line: None, lambda: None)
    assert (meta["values"], meta["shape"], meta["bytes"]) == ("colour", (2, 24, 30), 2 * 24 * 30 * 3)
    pixels = np.fromfile(tmp_path / "pixels", np.uint8).reshape(*meta["shape"], 3)
    assert np.abs(pixels.astype(int) - frames).mean() <= mean_error
    series = read_frame_series([tmp_path / "0.dcm"], "US")
    assert np.array_equal(pixels, np.stack([series.rgb(index) for index in range(2)])), "what a model receives"


def test_a_grey_loop_beside_one_with_colours_is_shown_in_grey(tmp_path: Path) -> None:
    frames = flow()
    meta = render(order([loop(frames), loop(frames[..., 0], number=2)], tmp_path), lambda line: None, lambda: None)
    pixels = np.fromfile(tmp_path / "pixels", np.uint8).reshape(*meta["shape"], 3)
    assert np.array_equal(pixels[:2], frames)
    assert np.array_equal(pixels[2:], np.repeat(frames[..., :1], 3, axis=3))


def test_captured_screens_are_shown_in_colour_where_the_series_has_no_slices(tmp_path: Path) -> None:
    frames = flow(3)
    screens = [
        multi_frame(frame[None], study=8501, sop_class=CAPTURE, modality="CT", number=number) for number, frame in enumerate(frames, 1)
    ]
    meta = render(order(screens, tmp_path), lambda line: None, lambda: None)
    assert meta["values"] == "colour"
    assert np.array_equal(np.fromfile(tmp_path / "pixels", np.uint8).reshape(3, 24, 30, 3), frames)
    assert [uid for uid, _ in meta["images"]] == [screen.SOPInstanceUID for screen in screens]


def test_a_captured_screen_before_the_slices_does_not_hide_their_hounsfield_units(tmp_path: Path) -> None:
    slices = [image(study=8502, number=number, side=24) for number in range(2, 6)]
    screen = multi_frame(flow(1, (24, 24)), study=8502, sop_class=CAPTURE, modality="CT", number=1)
    meta = render(order([screen, *slices], tmp_path), lambda line: None, lambda: None)
    assert (meta["values"], meta["shape"]) == ("HU", (4, 24, 24))
    assert "1 screen capture dropped" in meta["notes"]


def test_images_of_mr_are_shown_as_their_window_says_with_their_orientation(tmp_path: Path) -> None:
    given = {"sop_class": MR, "Modality": "MR", "ImageOrientationPatient": SAGITTAL, "WindowCenter": 500, "WindowWidth": 1000}
    slices = [image(study=8503, number=number, RescaleSlope=None, RescaleIntercept=None, RescaleType=None, **given) for number in (3, 1, 2)]
    meta = render(order(slices, tmp_path), lambda line: None, lambda: None)
    assert (meta["values"], meta["shape"], list(meta["orientation"])) == ("grey", (3, 16, 16), SAGITTAL)
    assert [uid[-1] for uid, _ in meta["images"]] == ["1", "2", "3"]
    stored = np.frombuffer(slices[1].PixelData, "<i2").reshape(16, 16)
    shown = np.fromfile(tmp_path / "pixels", "<i2").reshape(meta["shape"])[0]
    assert np.abs(shown - np.clip(stored / 1000 * 255, 0, 255)).max() <= 1


def test_a_single_image_without_colours_is_shown(tmp_path: Path) -> None:
    """A radiograph, which an imported model may read."""
    grey = flow(1)[0, ..., 0]
    radiograph = multi_frame(grey[None], study=8504, sop_class="1.2.840.10008.5.1.4.1.1.1.1", modality="DX")
    meta = render(order([radiograph], tmp_path) | {"kind": "image"}, lambda line: None, lambda: None)
    assert (meta["kind"], meta["shape"]) == ("image", (1, 24, 30))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "picture.png"))[..., 1], grey)


def enhanced_mr(*orientations: list[float], shared: bool = False, number: int = 1) -> FileDataset:
    """Enhanced MR with one frame for each orientation, in the groups of the frames or in the shared ones (then one for all)."""
    made = multi_frame(flow(len(orientations))[..., 0], study=8505, sop_class=ENHANCED_MR, modality="MR", number=number)

    def groups(orientation: list[float] | None) -> Dataset:
        found, plane = Dataset(), Dataset()
        if orientation is not None:
            plane.ImageOrientationPatient = orientation
            found.PlaneOrientationSequence = [plane]
        return found

    made.SharedFunctionalGroupsSequence = [groups(orientations[0] if shared else None)]
    made.PerFrameFunctionalGroupsSequence = [groups(None if shared else one) for one in orientations]
    return made


@pytest.mark.parametrize("shared", [True, False])
def test_enhanced_mr_has_the_orientation_of_its_functional_groups(tmp_path: Path, shared: bool) -> None:
    """Without it the viewer would show no letters, and would not hang the planes in the usual way."""
    meta = render(order([enhanced_mr(SAGITTAL, SAGITTAL, SAGITTAL, shared=shared)], tmp_path), lambda line: None, lambda: None)
    assert (meta["values"], meta["shape"][0], meta["orientation"]) == ("grey", 3, SAGITTAL)
    assert json.loads(json.dumps(meta))["orientation"] == SAGITTAL


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([[SAGITTAL, [0.0, 0.99999, 0.00001, 0.0, 0.0, -1.0]]], SAGITTAL),
        ([[SAGITTAL, AXIAL]], None),
        ([[SAGITTAL], [AXIAL]], None),
        ([[SAGITTAL], [SAGITTAL]], SAGITTAL),
        ([[[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]]], None),
        ([[[1.0, 0.0, 0.0]]], None),
    ],
    ids=["rounded", "mixed frames", "mixed images", "two images", "not orthogonal", "too short"],
)
def test_frames_of_different_orientations_have_none_in_common(
    tmp_path: Path, images: list[list[list[float]]], expected: list[float] | None
) -> None:
    """A localizer in three planes, for example: letters of one plane would be wrong on the others."""
    made = [enhanced_mr(*orientations, number=number) for number, orientations in enumerate(images, 1)]
    assert render(order(made, tmp_path), lambda line: None, lambda: None)["orientation"] == expected
