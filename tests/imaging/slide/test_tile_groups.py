"""The places of a slide's tiles are read however many there are and however they are encoded; the work is bounded."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from core.errors import CannotUnderstand, GeometryError, OverBudget
from imaging.frames.frame_file import FrameFile
from imaging.limits.work_budget import MAX_ITEMS, WorkLimits
from imaging.slide import tile_groups
from imaging.slide.tile_places import read_matrix, tile_places
from imaging.wire import tolerant_parser
from tests.support.slides import TILE, pyramid, sparse_file

SIDE = int(MAX_ITEMS**0.5) + 1  # more tiles than another instance may have items


def written(content: bytes, folder: Path) -> Path:
    path = folder / "slide.dcm"
    path.write_bytes(content)
    return path


def places(path: Path) -> dict[tuple[int, int], int]:
    file = FrameFile(path)
    return dict(tile_places(file, read_matrix(file), file.spec.frames, []))


@pytest.mark.parametrize("undefined", [False, True])
def test_a_slide_may_have_more_tiles_than_other_instances_have_items(undefined: bool, tmp_path: Path) -> None:
    found = places(written(sparse_file(SIDE, undefined=undefined), tmp_path))
    assert len(found) == SIDE * SIDE > MAX_ITEMS
    assert all(number == SIDE * SIDE - (row * SIDE + column) for (row, column), number in found.items())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_encodings_of_the_places(syntax: str, tmp_path: Path) -> None:
    """In Implicit VR, the elements state no VR."""
    (fine, _), paths = pyramid(sparse=True), [tmp_path / "explicit.dcm", tmp_path / "other.dcm"]
    fine.save_as(paths[0], enforce_file_format=True)
    fine["PixelData"].VR = "OW" if syntax == ImplicitVRLittleEndian else "OB"
    fine.file_meta.TransferSyntaxUID = syntax
    fine.set_original_encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    dcmwrite(paths[1], fine, enforce_file_format=True)
    assert places(paths[0]) == places(paths[1])
    assert len(places(paths[1])) == 20


def _stacks(image: FileDataset) -> Iterator[Dataset]:
    """Of each tile three frames at other heights, the middle one first, and one of another optical path."""
    for frame in image.PerFrameFunctionalGroupsSequence:
        for z, path in (("0", "1"), ("-2.5", "1"), ("3.5", "1"), ("0", "2")):
            made, place, optical = Dataset(), Dataset(), Dataset()
            place.update(frame.PlanePositionSlideSequence[0])
            place.ZOffsetInSlideCoordinateSystem, optical.OpticalPathIdentifier = z, path
            made.PlanePositionSlideSequence, made.OpticalPathIdentificationSequence = [place], [optical]
            yield made


def test_of_focal_planes_the_middle_one_and_of_optical_paths_the_first_is_read(tmp_path: Path) -> None:
    fine, _ = pyramid(sparse=True)
    fine.save_as(tmp_path / "plain.dcm", enforce_file_format=True)
    plain = places(tmp_path / "plain.dcm")
    fine.PerFrameFunctionalGroupsSequence = list(_stacks(fine))
    fine.NumberOfFrames, fine.PixelData = 4 * len(plain), bytes(4 * len(plain) * TILE * TILE * 3)
    fine.save_as(tmp_path / "stack.dcm", enforce_file_format=True)
    assert places(tmp_path / "stack.dcm") == {cell: 4 * (number - 1) + 1 for cell, number in plain.items()}


def test_tiles_that_the_groups_do_not_describe_are_refused(tmp_path: Path) -> None:
    fine, _ = pyramid(sparse=True)
    del fine.PerFrameFunctionalGroupsSequence[-1]
    fine.save_as(tmp_path / "slide.dcm", enforce_file_format=True)
    with pytest.raises(GeometryError, match="20 tiles expected, 19 described in the functional groups"):
        places(tmp_path / "slide.dcm")


def test_groups_that_end_early_are_refused(tmp_path: Path) -> None:
    content = sparse_file(4, undefined=True)
    with pytest.raises(CannotUnderstand, match="cut short"):
        FrameFile(written(content[: content.index(b"\xe0\x7f\x10\x00") - 100], tmp_path))


@pytest.mark.parametrize("limits", [WorkLimits(100, 100, 10_000, 1, 1, 1), WorkLimits(10_000, 100, 20, 1, 1, 1)])
def test_the_work_is_bounded(limits: WorkLimits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both readings: where the end of groups of undefined length is looked for, and where their places are read."""
    monkeypatch.setattr(tile_groups, "OF_TILES", limits)
    file = FrameFile(written(sparse_file(10, undefined=False), tmp_path))
    with pytest.raises(OverBudget, match=r"a data set with more than \d+ (elements|items)"):
        tile_places(file, read_matrix(file), 100, [])
    monkeypatch.setattr(tolerant_parser, "OF_TILES", limits)
    with pytest.raises(OverBudget, match=r"a data set with more than \d+ (elements|items)"):
        FrameFile(written(sparse_file(10, undefined=True), tmp_path))
