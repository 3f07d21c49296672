"""Whole slides are read by regions, whatever way their tiles are stored; what cannot be placed or measured is refused."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from core.errors import GeometryError, NodeError, NotAnalysable
from imaging.slide import level as level_module
from imaging.slide import slide as slide_module
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


def at(x: float, y: float, z: float) -> Sequence:
    """Total Pixel Matrix Origin Sequence."""
    corner = Dataset()
    for axis, value in zip("XYZ", (x, y, z), strict=True):
        setattr(corner, f"{axis}OffsetInSlideCoordinateSystem", value)
    return Sequence([corner])


def concatenation(image: FileDataset, firsts: list[int], uid: str = "2.25.5") -> list[FileDataset]:
    """The image in several instances that begin at the frames ``firsts``, counted from 0."""
    tiles = np.frombuffer(image.PixelData, np.uint8).reshape(int(image.NumberOfFrames), -1)
    parts = []
    for number, (first, end) in enumerate(zip(firsts, [*firsts[1:], len(tiles)], strict=True), 1):
        part = copy.deepcopy(image)
        part.NumberOfFrames, part.PixelData, part.ConcatenationFrameOffsetNumber = end - first, tiles[first:end].tobytes(), first
        part.ConcatenationUID, part.InConcatenationNumber, part.InConcatenationTotalNumber = uid, number, len(firsts)
        part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = f"{image.SOPInstanceUID}.{number}"
        parts.append(part)
    return parts


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
    assert slide.overview.shape == PIXELS.shape
    assert slide.level_for(2.0) is slide.levels[1]
    assert slide.level_for(1.0) is finest


def test_jpeg_tiles_and_a_level_in_two_instances(tmp_path: Path) -> None:
    fine, coarse = pyramid(SHAPE, DISCS)
    parts = concatenation(fine, [0, 20])
    slide = read([as_jpeg(coarse), *parts], tmp_path)
    assert np.array_equal(slide.levels[0].region(0, 0, *PIXELS.shape[:2]), PIXELS)
    assert slide.levels[0].instance_at(10, 10) == parts[0].SOPInstanceUID
    assert slide.levels[0].instance_at(300, 400) == parts[1].SOPInstanceUID
    coarse_pixels = slide.levels[1].region(0, 0, *slide.levels[1].matrix.shape)
    assert np.abs(coarse_pixels.astype(int) - PIXELS[::4, ::4]).mean() < 30


def test_the_overview_is_no_level_of_a_few_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scanners halve the levels down to one tile: there a piece of tissue is less than a pixel, and was left out as glass."""
    monkeypatch.setattr(slide_module, "LEAST_SIDE", 100)
    fine, coarse = pyramid(SHAPE, DISCS)
    smallest = level(PIXELS[::64, ::64], 0.032, 3)
    slide = read([smallest, coarse, fine], tmp_path)
    assert slide.overview_level is slide.levels[1]
    assert slide.overview_scale(slide.levels[0]) == pytest.approx((0.25, 0.25))
    assert slide.overview_scale(slide.levels[2]) == (92 / 6, 120 / 8)


def test_a_slide_without_an_instance_of_its_concatenation_is_read_for_display_only(tmp_path: Path) -> None:
    fine, coarse = pyramid(SHAPE, DISCS)
    fine.ConcatenationUID, fine.InConcatenationNumber, fine.InConcatenationTotalNumber = "2.25.5", 1, 2
    fine.ConcatenationFrameOffsetNumber = 0
    with pytest.raises(GeometryError, match="1 of the 2 instances of a concatenation are missing"):
        read([fine, coarse], tmp_path)
    assert len(read_slide(sorted(tmp_path.iterdir()), whole=False).levels) == 2


def test_of_two_images_of_one_level_the_first_is_read_whole(tmp_path: Path) -> None:
    """As a scanner sends a focal plane as a concatenation, and the image with extended depth of field as one instance."""
    fine, coarse = pyramid(SHAPE, DISCS)
    other = level(255 - PIXELS, 0.0005, 9, ExtendedDepthOfField="YES")
    for number, second in enumerate(([other], concatenation(other, [0, 30], "2.25.6"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        slide = read([*second, *concatenation(fine, [0, 20]), coarse], folder)
        assert np.array_equal(slide.levels[0].region(0, 0, *PIXELS.shape[:2]), PIXELS)
        assert slide.notes == ("of several images of one level one was used",)


def test_a_second_area_of_the_same_size_is_not_left_out_silently(tmp_path: Path) -> None:
    images = [level(PIXELS, 0.0005, number) for number in (1, 2)]
    for image, x in zip(images, (10.0, 10.0001), strict=True):
        image.TotalPixelMatrixOriginSequence = at(x, 20.0, 0.0)
    assert len(read(images, tmp_path).levels) == 1
    images[1].TotalPixelMatrixOriginSequence[0].XOffsetInSlideCoordinateSystem = 11.0
    with pytest.raises(NotAnalysable, match="several areas of one size"):
        read(images, tmp_path)
    assert len(read_slide(sorted(tmp_path.iterdir()), whole=False).levels) == 1


@pytest.mark.parametrize("firsts", [[0], [0, 60, 100]])
def test_of_focal_planes_the_middle_one_is_read(firsts: list[int], tmp_path: Path) -> None:
    planes = [level(pixels, 0.0005, 1) for pixels in (255 - PIXELS, PIXELS, PIXELS // 2)]
    stack = planes[0]
    stack.PixelData, stack.NumberOfFrames = b"".join(plane.PixelData for plane in planes), 3 * 48
    stack.TotalPixelMatrixFocalPlanes = 3
    slide = read([stack] if firsts == [0] else concatenation(stack, firsts), tmp_path)
    assert np.array_equal(slide.levels[0].region(0, 0, *PIXELS.shape[:2]), PIXELS)
    assert slide.notes == ("of several focal planes or optical paths one was used",)


@pytest.mark.parametrize("heights", [(2.5, 0.0, 5.0), (0.0, 0.0, 0.0)])
def test_of_planes_that_are_images_of_their_own_the_middle_one_is_read(heights: tuple[float, ...], tmp_path: Path) -> None:
    """The first where their heights are not known. Each states the number of focal planes of the slide, as some writers do."""
    images = [level(pixels, 0.0005, number) for number, pixels in enumerate((PIXELS, 255 - PIXELS, PIXELS // 2), 1)]
    for image, height in zip(images, heights, strict=True):
        image.TotalPixelMatrixFocalPlanes, image.TotalPixelMatrixOriginSequence = 3, at(10, 20, height)
    others = level(PIXELS // 3, 0.0005, 4, ExtendedDepthOfField="YES", TotalPixelMatrixOriginSequence=at(10, 20, 1.0))
    slide = read([*images, others], tmp_path)
    assert np.array_equal(slide.levels[0].region(0, 0, *PIXELS.shape[:2]), PIXELS)
    assert slide.notes == ("of several images of one level one was used",)


def test_a_full_image_without_all_its_tiles_is_read_for_display_only(tmp_path: Path) -> None:
    fine, coarse = pyramid(SHAPE, DISCS)
    fine.NumberOfFrames = 40
    with pytest.raises(GeometryError, match="a TILED_FULL image of 48 tiles has 40"):
        read([fine, coarse], tmp_path)
    assert read_slide(sorted(tmp_path.iterdir()), whole=False).levels[0].tile_count == 40


def test_a_level_that_was_filled_up_to_whole_tiles_is_placed_by_its_pixel_spacing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some scanners write it: 92 x 120 pixels of what was scanned in 2 x 2 tiles of 64 pixels, which begin at the same corner."""
    monkeypatch.setattr(slide_module, "LEAST_SIDE", 1)
    fine, coarse = pyramid(SHAPE, DISCS)
    shown = read([fine, coarse], tmp_path).overview
    padded = level(np.pad(shown, ((0, 128 - shown.shape[0]), (0, 128 - shown.shape[1]), (0, 0)), constant_values=255), 0.002, 2)
    slide = require_one_area(read([fine, padded], tmp_path))
    assert slide.overview.shape == (128, 128, 3)
    assert slide.overview_scale(slide.levels[0]) == pytest.approx((0.25, 0.25))
    assert slide.overview_scale(slide.levels[1]) == (1.0, 1.0)
    padded.TotalPixelMatrixRows, padded.PixelData = 192, padded.PixelData + padded.PixelData[: 2 * TILE * TILE * 3]
    padded.NumberOfFrames = 6
    with pytest.raises(NotAnalysable, match=r"show areas of 0.2 x 0.2 mm and 0.4 x 0.3 mm"):  # more than the tile that fills it up
        require_one_area(read([fine, padded], tmp_path))


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


def _untyped(datasets: list[FileDataset]) -> None:
    for dataset in datasets:
        del dataset.ImageType


def _other_container(datasets: list[FileDataset]) -> None:
    datasets[0].ContainerIdentifier = "SLIDE-2"


def _shifted(datasets: list[FileDataset]) -> None:
    datasets[0].PerFrameFunctionalGroupsSequence[3].PlanePositionSlideSequence[0].RowPositionInTotalImagePixelMatrix += 7


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (_without("SharedFunctionalGroupsSequence"), GeometryError, "no Pixel Spacing: its magnification is not known"),
        (_without("TotalPixelMatrixRows"), GeometryError, "Total Pixel Matrix"),
        (_untyped, NotAnalysable, r"2 other instances came \(2 of them state no Image Type: correct them at their source\)"),
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
