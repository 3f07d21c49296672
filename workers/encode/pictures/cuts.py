"""Planes cut through a volume along its own grid, as pictures with square millimetres."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.records import HeatMap, Lps
from imaging.masks import unpack_heat_map
from imaging.volume.volume import Volume
from workers.encode.pictures.marks import Point

Box = tuple[int, int, int, int]  # top, left, bottom, right in voxels; the last two excluded

WINDOW_CENTRE_HU, WINDOW_WIDTH_HU = -600, 1500  # lung
AIR_HU = -2000
LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))  # towards the smaller, towards the larger coordinate (PS3.3 C.7.6.1.1.1)
NAMES = ("sagittal", "coronal", "axial")
OBLIQUE_COSINE = 0.94  # beyond 20 degrees a plane has no plain name


@dataclass(frozen=True, slots=True)
class Cut:
    """A plane as a picture.

    ``grey`` (Y, X) uint8; ``scale`` pixels of the picture a voxel, down and across; ``flipped`` down and across;
    ``letters`` of the patient's directions: top, right, bottom, left.
    """

    grey: NDArray[np.uint8]
    voxels: tuple[int, int]
    scale: tuple[float, float]
    flipped: tuple[bool, bool]
    letters: tuple[str, str, str, str]
    name: str

    def place(self, down: float, across: float) -> Point:
        """(x, y) in the picture of a voxel's centre."""
        places = []
        for index, count, scale, flip in zip((across, down), self.voxels[::-1], self.scale[::-1], self.flipped[::-1], strict=True):
            centre = (index + 0.5) * scale
            places.append(count * scale - centre if flip else centre)
        return places[0], places[1]

    def onto(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values on the plane's voxels (rows, columns), 0..1, on the picture's pixels."""
        turned = plane[:: -1 if self.flipped[0] else 1, :: -1 if self.flipped[1] else 1]
        picture = Image.fromarray(np.ascontiguousarray(turned, dtype=np.float32))
        return np.asarray(picture.resize(self.grey.shape[::-1], Image.Resampling.BILINEAR), np.float32)


def windowed(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Hounsfield units as grey, lung window."""
    low = WINDOW_CENTRE_HU - WINDOW_WIDTH_HU / 2
    return np.asarray(np.clip((hu.astype(np.float32) - low) / WINDOW_WIDTH_HU, 0, 1) * 255, np.uint8)


def acquired(volume: Volume, z: int, side: int, box: Box | None = None) -> Cut:
    """A slice as it was acquired, or a box of it (air beyond its edge), the longer side ``side`` pixels."""
    hu = volume.hu[z] if box is None else boxed(volume.hu[z], box, AIR_HU)
    return _cut(volume, hu, (1, 0), (False, False), 2, side)


def boxed(plane: NDArray[Any], box: Box, fill: float = 0) -> NDArray[Any]:
    """A box of a plane (Y, X); it may reach beyond the plane's edges, where ``fill`` stands."""
    top, left, bottom, right = box
    rows, columns = plane.shape
    result = np.full((bottom - top, right - left), fill, plane.dtype)
    first, last = (max(top, 0), max(left, 0)), (min(bottom, rows), min(right, columns))
    if first[0] < last[0] and first[1] < last[1]:
        seen = plane[first[0] : last[0], first[1] : last[1]]
        result[first[0] - top : last[0] - top, first[1] - left : last[1] - left] = seen
    return result


def across(volume: Volume, y: int, side: int) -> Cut:
    """The plane of the slice normal and the rows, head up and left on the right, through row ``y``."""
    down, right = _direction(volume, 2), _direction(volume, 0)
    # Head, else front, at the top; the patient's left, else back, on the right: as readers hang such planes.
    return _cut(volume, volume.hu[:, y, :], (2, 0), (_towards(down, (1, 1, -1)) < 0, _towards(right, (1, 1, 1)) < 0), 1, side)


def _cut(volume: Volume, hu: NDArray[np.int16], axes: tuple[int, int], flipped: tuple[bool, bool], normal: int, side: int) -> Cut:
    """``axes``: of the affine (x 0, y 1, z 2) down and across the picture."""
    spacing = [volume.spacing_mm[2], volume.spacing_mm[1], volume.spacing_mm[0]]
    down_mm, across_mm = hu.shape[0] * spacing[axes[0]], hu.shape[1] * spacing[axes[1]]
    scale = side / max(down_mm, across_mm)
    size = max(1, round(across_mm * scale)), max(1, round(down_mm * scale))
    grey = windowed(hu)[:: -1 if flipped[0] else 1, :: -1 if flipped[1] else 1]
    picture = Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.BICUBIC)
    down, right = (_direction(volume, axis) * (-1 if flip else 1) for axis, flip in zip(axes, flipped, strict=True))
    letters = (letter(-down), letter(right), letter(down), letter(-right))
    per_voxel = (size[1] / hu.shape[0], size[0] / hu.shape[1])
    return Cut(np.asarray(picture, np.uint8), (hu.shape[0], hu.shape[1]), per_voxel, flipped, letters, plane_name(volume, normal))


def _direction(volume: Volume, axis: int) -> NDArray[np.float64]:
    vector = volume.affine[:3, axis]
    return np.asarray(vector / np.linalg.norm(vector), np.float64)


def _towards(direction: NDArray[np.float64], wanted: tuple[int, int, int]) -> float:
    """Above 0 where a direction's main component points as wanted for that component."""
    main = int(np.abs(direction).argmax())
    return float(direction[main] * wanted[main])


def letter(direction: NDArray[np.float64]) -> str:
    """L, R, A, P, H or F: where a direction mostly points."""
    main = int(np.abs(direction).argmax())
    return LETTERS[main][int(direction[main] > 0)]


def plane_name(volume: Volume, normal: int) -> str:
    """Axial, coronal, sagittal or oblique, by the axis of the grid that stands on the plane."""
    direction = np.abs(_direction(volume, normal))
    main = int(direction.argmax())
    return NAMES[main] if direction[main] >= OBLIQUE_COSINE else "oblique"


def heat_on_slice(heat: HeatMap, z: float, shape: tuple[int, int]) -> NDArray[np.float32]:
    """(Y, X) float32: the map's values on slice ``z`` of a grid with ``shape`` rows and columns, linear; 0 outside the map."""
    return heat_at(heat, z, np.arange(shape[0], dtype=np.float64), np.arange(shape[1], dtype=np.float64))


def heat_at(heat: HeatMap, z: float, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float32]:
    """As `heat_on_slice`, at fractional rows and columns of the unit's grid."""
    plane = _between(unpack_heat_map(heat), np.array([(z - heat.origin[0]) / heat.step[0]]), 0)[0]
    down = _between(plane, (rows - heat.origin[1]) / heat.step[1], 0)
    return _between(down, (columns - heat.origin[2]) / heat.step[2], 1)


def _between(values: NDArray[np.float32], at: NDArray[np.floating], axis: int) -> NDArray[np.float32]:
    """Linear interpolation along an axis at fractional places; the outermost value reaches half a step further, then 0."""
    count = values.shape[axis]
    place = np.clip(at, 0, count - 1)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, count - 1)
    shape = [1] * values.ndim
    shape[axis] = len(at)
    share = (place - low).astype(np.float32).reshape(shape)
    inside = ((at >= -0.5) & (at <= count - 0.5)).astype(np.float32).reshape(shape)
    mixed = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return np.asarray(mixed * inside, np.float32)


def nearest_slice(volume: Volume, sop_instance_uid: str, frame: int | None) -> int | None:
    """The index of an image (and frame) in the volume; None where it is none of its slices."""
    for index, (uid, number) in enumerate(zip(volume.sop_instance_uids, volume.frame_numbers, strict=True)):
        if uid == sop_instance_uid and frame in (None, number):
            return index
    return None


def in_volume(volume: Volume, place: Lps) -> tuple[float, float, float]:
    """(z, y, x) of a point in the patient, moved to the volume's edge where it lies outside."""
    return tuple(float(np.clip(v, 0, n - 1)) for v, n in zip(volume.index(place), volume.hu.shape, strict=True))  # type: ignore[return-value]
