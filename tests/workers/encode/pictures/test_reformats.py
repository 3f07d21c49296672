"""Planes through a volume: a bright voxel is drawn where it is, for every orientation of the volume."""

import numpy as np
import pytest

from imaging.masks import pack_heat_map
from tests.support.analyses_with_images import volume_of
from workers.encode.pictures import annotations, heat_values, reformats

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def minus(axis: tuple[float, float, float]) -> tuple[float, float, float]:
    return -axis[0], -axis[1], -axis[2]


TILTED = ((0.8, 0.6, 0.0), (-0.6, 0.8, 0.0), Z)
# axes of the grid (columns, rows, slices), letters of a slice and of the plane across it: top, right, bottom, left
POSES = {
    "head first, supine": ((X, Y, Z), "ALPR", "HLFR", "axial", "coronal"),
    "feet first": ((minus(X), Y, minus(Z)), "ARPL", "HLFR", "axial", "coronal"),
    "prone": ((minus(X), minus(Y), Z), "PRAL", "HLFR", "axial", "coronal"),
    "decubitus": ((Y, minus(X), Z), "LPRA", "HPFA", "axial", "sagittal"),
    "sagittal": ((Y, minus(Z), X), "HPFA", "RPLA", "sagittal", "axial"),
    "coronal": ((X, minus(Z), Y), "HLFR", "ALPR", "coronal", "axial"),
    "oblique": (TILTED, "ALPR", "HLFR", "axial", "oblique"),
}


@pytest.mark.parametrize("pose", POSES)
def test_a_bright_voxel_is_drawn_where_it_is(pose: str) -> None:
    axes = POSES[pose][0]
    hu = np.full((20, 40, 50), -1000, np.int16)
    hu[13, 8:11, 30:33] = 400
    volume = volume_of(hu, (4.0, 1.5, 0.75), (-20.0, 30.0, 50.0), axes)
    cut = reformats.acquired_slice(volume, 13, 400)
    x, y = cut.pixel_of(9, 31)
    assert_brightest(cut.grey, x, y, reach=cut.scale[1])
    across = reformats.perpendicular_plane(volume, 9, 400)
    x, y = across.pixel_of(13, 31)
    assert_brightest(across.grey, x, y, reach=across.scale[0] / 2)


def assert_brightest(grey: np.ndarray, x: float, y: float, *, reach: float) -> None:
    rows, columns = np.nonzero(grey > 200)
    assert abs(columns.mean() + 0.5 - x) <= reach
    assert abs(rows.mean() + 0.5 - y) <= reach


@pytest.mark.parametrize("pose", POSES)
def test_direction_letters_and_plane_names(pose: str) -> None:
    axes, of_slice, of_across, name, name_across = POSES[pose]
    volume = volume_of(np.zeros((4, 6, 8), np.int16), (2.0, 1.0, 1.0), axes=axes)
    cut, across = reformats.acquired_slice(volume, 1, 64), reformats.perpendicular_plane(volume, 2, 64)
    assert ("".join(cut.letters), cut.name) == (of_slice, name)
    assert ("".join(across.letters), across.name) == (of_across, name_across)


def test_pixels_are_square_in_millimetres() -> None:
    volume = volume_of(np.zeros((10, 40, 60), np.int16), (5.0, 2.0, 1.0))
    assert reformats.acquired_slice(volume, 0, 400).grey.shape == (400, 300)  # 80 mm x 60 mm
    assert reformats.perpendicular_plane(volume, 0, 300).grey.shape == (250, 300)  # 50 mm x 60 mm


def test_a_crop_may_reach_beyond_the_edge() -> None:
    hu = np.arange(12, dtype=np.int16).reshape(1, 3, 4)
    boxed = reformats.crop(hu[0], (-1, 2, 2, 6), fill=-5)
    assert boxed.tolist() == [[-5, -5, -5, -5], [2, 3, -5, -5], [6, 7, -5, -5]]
    for box in ((-9, 0, -6, 2), (7, 1, 9, 3), (0, -8, 2, -5), (1, 6, 3, 9)):  # nothing of it is on the plane
        assert set(reformats.crop(hu[0], box, fill=-5).ravel()) == {-5}


def test_heat_maps_are_sampled_on_their_own_grid() -> None:
    values = np.zeros((2, 2, 2), np.float32)
    values[1, 0, 1] = 1.0
    heat = pack_heat_map(values, origin=(1.0, 0.5, 0.5), step=(2.0, 2.0, 2.0), meaning="m")
    plane = heat_values.heat_on_slice(heat, 3, (6, 8))
    assert np.unravel_index(plane.argmax(), plane.shape) in {(0, 2), (0, 3), (1, 2), (1, 3)}
    assert plane[0, 1] == pytest.approx(0.25)
    assert plane[0, 2] == pytest.approx(0.75)
    assert plane[:, 4:].max() == 0.0
    assert plane[4:].max() == 0.0  # the map ends at row 3.5
    assert heat_values.heat_on_slice(heat, 2, (6, 8)).max() == pytest.approx(plane.max() / 2, abs=0.01)
    assert heat_values.heat_on_slice(heat, 5, (6, 8)).max() == 0.0
    assert heat_values.heat_on_slice(heat, 1, (6, 8)).max() == 0.0


def test_an_outline_does_not_change_what_it_surrounds() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[10:20, 12:30] = True
    drawn = annotations.draw_outline(rgb, mask)
    assert (drawn[mask] == rgb[mask]).all()
    changed = (drawn != rgb).any(axis=2)
    assert changed[7, 20]
    assert not changed[:4].any()
    assert changed[8:22, 10:32].sum() > 60


def test_grey_values_are_those_of_the_lung_window() -> None:
    assert reformats.apply_window(np.array([[-1350, -600, 150, 3000]], np.int16)).tolist() == [[0, 127, 255, 255]]
