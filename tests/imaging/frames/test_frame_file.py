"""Frames are found and decoded one by one, whatever way the pixel data are stored; what cannot be told apart is refused."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from core.errors import GeometryError, NotAnalysable, PixelError
from imaging.frames.frame_file import FrameFile
from imaging.frames.frame_series import read_frame_series
from tests.support.monai_classifiers import drawing
from tests.support.multi_frame import ULTRASOUND_LOOP, as_jpeg, multi_frame, oct_volume
from tests.support.transcode import transcode

FRAMES = np.stack([drawing(number == 1, number, (24, 32)) for number in range(4)])
COLOUR = np.stack([FRAMES, FRAMES // 2, 255 - FRAMES], axis=-1)


def saved(dataset: FileDataset, folder: Path, name: str = "loop") -> Path:
    path = folder / f"{name}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def loop(frames: np.ndarray = FRAMES, **changes: object) -> FileDataset:
    return multi_frame(frames, study=8500, sop_class=ULTRASOUND_LOOP, modality="US", **changes)


@pytest.mark.parametrize("frames", [FRAMES, COLOUR], ids=["grey", "colour"])
def test_native_frames(frames: np.ndarray, tmp_path: Path) -> None:
    path = saved(loop(frames), tmp_path)
    file = FrameFile(path)
    path.unlink()  # retention may remove the blob while it is analysed
    for number in (3, 1, 4, 2):
        wanted = frames[number - 1] if frames.ndim == 4 else np.repeat(frames[number - 1][..., None], 3, axis=2)
        assert np.array_equal(file.rgb(number), wanted)


@pytest.mark.parametrize(("table", "fragments"), [(True, 1), (True, 3), (False, 1)])
def test_encapsulated_frames_with_and_without_an_offset_table(table: bool, fragments: int, tmp_path: Path) -> None:
    file = FrameFile(saved(as_jpeg(loop(COLOUR), offset_table=table, fragments=fragments), tmp_path))
    for number in (4, 1):
        assert np.abs(file.rgb(number).astype(int) - COLOUR[number - 1]).mean() < 12


def test_frames_without_a_table_in_several_fragments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PixelError, match="offset table cannot be told apart"):
        FrameFile(saved(as_jpeg(loop(COLOUR), offset_table=False, fragments=2), tmp_path))


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = saved(loop(), tmp_path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(PixelError, match="bytes of pixel data expected"):
        FrameFile(path)


def test_all_frames_of_twelve_bits_are_shown_with_one_window(tmp_path: Path) -> None:
    dark = np.full((2, 8, 8), 1000, np.uint16)
    dark[1] = 2000
    dataset = loop(FRAMES[:2, :8, :8], BitsStored=12, HighBit=11)
    dataset.BitsAllocated, dataset.PixelData = 16, dark.tobytes()
    dataset["PixelData"].VR = "OW"
    file = FrameFile(saved(dataset, tmp_path))
    assert [int(file.rgb(number)[0, 0, 0]) for number in (1, 2)] == pytest.approx([1000 / 16, 2000 / 16], abs=1)


def test_an_oct_series_is_ordered_and_its_distances_are_read(tmp_path: Path) -> None:
    series = read_frame_series([saved(transcode(oct_volume([False, True, False]), "jpeg_ls"), tmp_path)], "OPT")
    assert series.spacing_mm == (0.1, 0.004, 0.012)
    assert [series.place(index)[1] for index in range(3)] == [1, 2, 3]
    assert series.grey_volume().shape == (3, 60, 80)
    assert np.array_equal(series.grey_volume()[1], series.rgb(1)[..., 0])


def test_an_oct_series_without_an_instance_of_its_concatenation_is_read_for_display_only(tmp_path: Path) -> None:
    part = oct_volume([True, False], ConcatenationUID="2.25.6", InConcatenationNumber=2)
    paths = [saved(part, tmp_path)]
    with pytest.raises(GeometryError, match="1 of the 2 instances of a concatenation are missing"):
        read_frame_series(paths, "OPT")
    assert len(read_frame_series(paths, "OPT", whole=False).frames) == 2


def test_both_eyes_and_other_images_are_refused(tmp_path: Path) -> None:
    right, left = oct_volume([True]), oct_volume([True], InstanceNumber=2, ImageLaterality="L", SOPInstanceUID="1.2.3")
    with pytest.raises(NotAnalysable, match="one eye are expected, the series has 2 sides"):
        read_frame_series([saved(right, tmp_path, "right"), saved(left, tmp_path, "left")], "OPT")
    with pytest.raises(NotAnalysable, match="Ophthalmic Tomography Image Storage is expected"):
        read_frame_series([saved(loop(), tmp_path)], "OPT")
