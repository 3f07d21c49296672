"""Attributes of an enhanced image that all of its frames have, wherever they stand, for routing, completion and the choice of a series."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from core.policy.slice_coverage import slice_location
from core.records import InstanceHeader
from deploy.demo.synthetic.chest import Chest
from imaging.headers import shared_groups
from imaging.headers.instance_header import read_header
from imaging.headers.route_values import read_route_values
from imaging.wire.tolerant_parser import read_dataset
from tests.support.enhanced_ct import enhanced_ct


def enhanced(chest: Chest, path: Path, change: Callable[[FileDataset], object]) -> tuple[InstanceHeader, dict[str, object]]:
    """Write an enhanced image, changed; return its header and the values that routes see."""
    image = enhanced_ct(chest)
    change(image)
    image.save_as(path, enforce_file_format=True)
    return read_header(path), dict(read_route_values(read_dataset(path)))


def in_each_frame(image: FileDataset) -> None:
    """Move plane orientation and pixel measures into the groups of the frames, as scanners write enhanced MR."""
    (shared,) = image.SharedFunctionalGroupsSequence
    for frame in image.PerFrameFunctionalGroupsSequence:
        frame.PlaneOrientationSequence = [copy.deepcopy(shared.PlaneOrientationSequence[0])]
        frame.PixelMeasuresSequence = [copy.deepcopy(shared.PixelMeasuresSequence[0])]
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence


def test_what_each_frame_repeats_with_one_value_holds_for_the_image(chest: Chest, tmp_path: Path) -> None:
    header, found = enhanced(chest, tmp_path / "enhanced.dcm", in_each_frame)
    assert (header.slice_thickness_mm, header.orientation, header.pixel_spacing_mm) == (3.0, (1, 0, 0, 0, 1, 0), (4.0, 4.0))
    assert (header.position, header.number_of_frames) == (None, 20), "each frame has its own"
    assert (found["SliceThickness"], found["ImageOrientationPatient"]) == (3.0, (1, 0, 0, 0, 1, 0))


def test_what_differs_between_the_frames_or_is_missing_in_one_does_not(chest: Chest, tmp_path: Path) -> None:
    def differ(image: FileDataset) -> None:
        in_each_frame(image)
        image.PerFrameFunctionalGroupsSequence[7].PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        del image.PerFrameFunctionalGroupsSequence[-1].PixelMeasuresSequence

    header, found = enhanced(chest, tmp_path / "enhanced.dcm", differ)
    assert (header.orientation, header.pixel_spacing_mm) == (None, None)
    assert "ImageOrientationPatient" not in found


def test_an_enhanced_image_of_one_frame_has_its_position(chest: Chest, tmp_path: Path) -> None:
    """Some devices send each slice as an enhanced image of its own: slices without gap are then evidence of completion."""

    def cut(image: FileDataset) -> None:
        in_each_frame(image)
        image.NumberOfFrames = 1
        image.PerFrameFunctionalGroupsSequence = image.PerFrameFunctionalGroupsSequence[:1]
        image.PixelData = image.PixelData[: 2 * image.Rows * image.Columns]

    header, _ = enhanced(chest, tmp_path / "enhanced.dcm", cut)
    assert header.position == pytest.approx((*chest.origin_mm[:2], chest.origin_mm[2] + 19 * 3.0))
    assert slice_location(header).orientation == (1, 0, 0, 0, 1, 0)


def test_groups_of_more_frames_than_are_looked_through_are_not_read(chest: Chest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_groups, "MOST_FRAMES", 19)
    header, _ = enhanced(chest, tmp_path / "enhanced.dcm", in_each_frame)
    assert (header.orientation, header.number_of_frames) == (None, 20)
