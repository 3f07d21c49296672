"""Whole slides are read by regions, whatever way their tiles are stored; what cannot be placed or measured is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from core.errors import GeometryError, NodeError, NotAnalysable
from imaging.slide import level as level_module
from imaging.slide.slide import Slide, read_slide, require_one_area
from tests.support.multi_frame import as_jpeg
from tests.support.slides import TILE, level, pyramid, slide_pixels

SHAPE, DISCS = (6, 8), ((2, 5),)
TISSUE = [(row, column) for row in range(1, 5) for column in range(2, 7)]
PIXELS = slide_pixels(SHAPE, TISSUE, DISCS)[: -TILE // 4, : -TILE // 2]


def saved(datasets: list[FileDataset], folder: Path) -> list[Path]:
    paths = [folder / f"{number}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return paths


def read(datasets: list[FileDataset], folder: Path) -> Slide:
    return read_slide(saved(datasets, folder))


@pytest.mark.parametrize("sparse", [False, True])
def test_regions_across_tiles_have_the_pixels_of_the_slide(sparse: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level_module, "MAX_CACHED_BYTES", 3 * TILE * TILE * 3)
    slide = read(pyramid(SHAPE, DISCS, sparse=sparse), tmp_path)
    finest = slide.level_for(0.5)
    assert [one.pixel_um for one in slide.levels] == pytest.approx([0.5, 2.0])
    assert finest.tile_count == (len(TISSUE) if sparse else 48)
    for top, left, rows, columns in ((70, 130, 90, 100), (64, 128, 64, 64), (0, 0, *PIXELS.shape[:2])):
        wanted = PIXELS[top : top + rows, left : left + columns].copy()
        if sparse:
            wanted[(wanted == 240).all(axis=2)] = 255  # no tile is stored there
        assert np.array_equal(finest.region(top, left, rows, columns), wanted)
    beyond = finest.region(PIXELS.shape[0] - 10, PIXELS.shape[1] - 10, 20, 20)
    assert (beyond[10:] == 255).all()
    assert slide.overview.shape == (PIXELS.shape[0] // 4, PIXELS.shape[1] // 4, 3)
    assert slide.level_for(2.0) is slide.levels[1]
    assert slide.level_for(1.0) is finest


def test_jpeg_tiles_and_a_level_in_two_instances(tmp_path: Path) -> None:
    fine, coarse = pyramid(SHAPE, DISCS)
    parts = []
    for number, frames in enumerate((slice(0, 20), slice(20, 48))):
        part = level(PIXELS, 0.0005, 10 + number)
        tiles = np.frombuffer(part.PixelData, np.uint8).reshape(48, -1)[frames]
        part.NumberOfFrames, part.PixelData, part.ConcatenationFrameOffsetNumber = len(tiles), tiles.tobytes(), frames.start
        part.ConcatenationUID, part.InConcatenationNumber, part.InConcatenationTotalNumber = "2.25.5", number + 1, 2
        parts.append(part)
    slide = read([as_jpeg(coarse), *parts], tmp_path)
    assert np.array_equal(slide.levels[0].region(0, 0, *PIXELS.shape[:2]), PIXELS)
    assert slide.levels[0].instance_at(10, 10) == parts[0].SOPInstanceUID
    assert slide.levels[0].instance_at(300, 400) == parts[1].SOPInstanceUID
    assert fine.SOPInstanceUID != coarse.SOPInstanceUID
    assert np.abs(slide.overview.astype(int) - PIXELS[::4, ::4][: len(slide.overview), : slide.overview.shape[1]]).mean() < 30


def test_a_slide_without_an_instance_of_its_concatenation_is_read_for_display_only(tmp_path: Path) -> None:
    fine, coarse = pyramid(SHAPE, DISCS)
    fine.ConcatenationUID, fine.InConcatenationNumber, fine.InConcatenationTotalNumber = "2.25.5", 1, 2
    fine.ConcatenationFrameOffsetNumber = 0
    with pytest.raises(GeometryError, match="1 of the 2 instances of a concatenation are missing"):
        read([fine, coarse], tmp_path)
    assert len(read_slide(sorted(tmp_path.iterdir()), whole=False).levels) == 2


def test_two_areas_of_one_slide_are_not_taken_for_levels_of_one_pyramid(tmp_path: Path) -> None:
    """Both at the finest magnification: one of them would be analysed, and nothing said of the other."""
    fine, coarse = pyramid(SHAPE, DISCS)
    slide = read([fine, coarse], tmp_path)
    assert require_one_area(slide) is slide
    other = level(slide_pixels((3, 8), [(1, 2)], ())[:, : -TILE // 2], 0.0005, 3)
    (tmp_path / "two").mkdir()
    with pytest.raises(NotAnalysable, match=r"show areas of .* and .* mm \(send each scanned area as a series\)"):
        require_one_area(read([fine, coarse, other], tmp_path / "two"))


def test_labels_are_left_out(tmp_path: Path) -> None:
    label = level(PIXELS[:64, :64], 0.02, 3, ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"])
    slide = read([*pyramid(), label], tmp_path)
    assert len(slide.levels) == 2
    assert slide.notes == ("1 images of the label, an overview or of other kinds were left out",)


def _without(keyword: str) -> Callable[[list[FileDataset]], None]:
    def change(datasets: list[FileDataset]) -> None:
        for dataset in datasets:
            delattr(dataset, keyword)

    return change


def _other_container(datasets: list[FileDataset]) -> None:
    datasets[0].ContainerIdentifier = "SLIDE-2"


def _shifted(datasets: list[FileDataset]) -> None:
    datasets[0].PerFrameFunctionalGroupsSequence[3].PlanePositionSlideSequence[0].RowPositionInTotalImagePixelMatrix += 7


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (_without("SharedFunctionalGroupsSequence"), GeometryError, "no Pixel Spacing: its magnification is not known"),
        (_without("TotalPixelMatrixRows"), GeometryError, "Total Pixel Matrix"),
        (_other_container, NotAnalysable, "2 containers"),
        (_shifted, GeometryError, "tiles that overlap"),
    ],
)
def test_what_cannot_be_placed_is_refused(
    change: Callable[[list[FileDataset]], None], error: type[NodeError], says: str, tmp_path: Path
) -> None:
    datasets = pyramid(sparse=True)
    change(datasets)
    with pytest.raises(error, match=says):
        read(datasets, tmp_path)


def test_a_pyramid_without_a_fine_level_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotAnalysable, match=r"the finest level of the slide has pixels of 0.5 µm, the model needs 0.25 µm"):
        read(pyramid(), tmp_path).level_for(0.25)
