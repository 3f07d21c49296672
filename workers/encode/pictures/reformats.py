"""Planes through a volume along its own grid, as pictures with square pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.records import Lps
from imaging.volume.volume import Volume
from workers.encode.pictures.annotations import Point

Box = tuple[int, int, int, int]  # top, left, bottom, right in voxels; the last two excluded

WINDOW_CENTRE_HU, WINDOW_WIDTH_HU = -600, 1500  # lung
AIR_HU = -2000
DIRECTION_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))  # of x, y, z: towards lower, towards higher coordinates (PS3.3 C.7.6.1.1.1)
PLANE_NAMES = ("sagittal", "coronal", "axial")  # by the coordinate that the normal follows
MIN_NAMED_COSINE = 0.94  # planes tilted by more than 20 degrees are called oblique


@dataclass(frozen=True, slots=True)
class PlaneImage:
    """A plane as a picture.

    Attributes
    ----------
    grey
        (Y, X) uint8.
    voxels
        Rows and columns of the plane.
    scale
        Pixels of the picture for each voxel, down and across.
    flipped
        Whether the plane is reversed, down and across.
    letters
        Directions in the patient at the top, right, bottom and left.
    """

    grey: NDArray[np.uint8]
    voxels: tuple[int, int]
    scale: tuple[float, float]
    flipped: tuple[bool, bool]
    letters: tuple[str, str, str, str]
    name: str

    def pixel_of(self, down: float, across: float) -> Point:
        """(x, y) in the picture of a voxel's centre."""
        pixel = []
        for index, count, scale, flip in zip((across, down), self.voxels[::-1], self.scale[::-1], self.flipped[::-1], strict=True):
            centre = (index + 0.5) * scale
            pixel.append(count * scale - centre if flip else centre)
        return pixel[0], pixel[1]

    def resample(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values on the plane's voxels (rows, columns), 0 to 1, on the picture's pixels."""
        flipped = plane[:: -1 if self.flipped[0] else 1, :: -1 if self.flipped[1] else 1]
        picture = Image.fromarray(np.ascontiguousarray(flipped, dtype=np.float32))
        return np.asarray(picture.resize(self.grey.shape[::-1], Image.Resampling.BILINEAR), np.float32)


def apply_window(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Hounsfield units as grey, lung window."""
    low = WINDOW_CENTRE_HU - WINDOW_WIDTH_HU / 2
    return np.asarray(np.clip((hu.astype(np.float32) - low) / WINDOW_WIDTH_HU, 0, 1) * 255, np.uint8)


def window_text() -> str:
    """The window as captions state it."""
    return f"window {WINDOW_CENTRE_HU}/{WINDOW_WIDTH_HU} HU"


def acquired_slice(volume: Volume, z: int, side: int, box: Box | None = None) -> PlaneImage:
    """A slice as it was acquired, or a box of it with air beyond its edges. The longer side has ``side`` pixels."""
    hu = volume.hu[z] if box is None else crop(volume.hu[z], box, AIR_HU)
    return _plane_image(volume, hu, (1, 0), (False, False), 2, side)


def crop(plane: NDArray[Any], box: Box, fill: float = 0) -> NDArray[Any]:
    """A box of a plane (Y, X). The box may reach beyond the plane, where the result is ``fill``."""
    top, left, bottom, right = box
    rows, columns = plane.shape
    result = np.full((bottom - top, right - left), fill, plane.dtype)
    first, last = (max(top, 0), max(left, 0)), (min(bottom, rows), min(right, columns))
    if first[0] < last[0] and first[1] < last[1]:
        inside = plane[first[0] : last[0], first[1] : last[1]]
        result[first[0] - top : last[0] - top, first[1] - left : last[1] - left] = inside
    return result


def perpendicular_plane(volume: Volume, y: int, side: int) -> PlaneImage:
    """The plane of the slice normal and the rows, through row ``y``, hung as readers expect it.

    Head, else front, is at the top; the patient's left, else back, on the right.
    """
    down, right = _direction(volume, 2), _direction(volume, 0)
    flipped = _points_towards(down, (1, 1, -1)) < 0, _points_towards(right, (1, 1, 1)) < 0
    return _plane_image(volume, volume.hu[:, y, :], (2, 0), flipped, 1, side)


def _plane_image(
    volume: Volume, hu: NDArray[np.int16], axes: tuple[int, int], flipped: tuple[bool, bool], normal: int, side: int
) -> PlaneImage:
    """``axes``: of the affine (x 0, y 1, z 2) down and across the picture; ``normal``: the remaining one."""
    spacing = [volume.spacing_mm[2], volume.spacing_mm[1], volume.spacing_mm[0]]
    down_mm, across_mm = hu.shape[0] * spacing[axes[0]], hu.shape[1] * spacing[axes[1]]
    scale = side / max(down_mm, across_mm)
    size = max(1, round(across_mm * scale)), max(1, round(down_mm * scale))
    grey = apply_window(hu)[:: -1 if flipped[0] else 1, :: -1 if flipped[1] else 1]
    picture = Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.BICUBIC)
    down, right = (_direction(volume, axis) * (-1 if flip else 1) for axis, flip in zip(axes, flipped, strict=True))
    letters = (direction_letter(-down), direction_letter(right), direction_letter(down), direction_letter(-right))
    per_voxel = (size[1] / hu.shape[0], size[0] / hu.shape[1])
    return PlaneImage(np.asarray(picture, np.uint8), (hu.shape[0], hu.shape[1]), per_voxel, flipped, letters, plane_name(volume, normal))


def _direction(volume: Volume, axis: int) -> NDArray[np.float64]:
    vector = volume.affine[:3, axis]
    return np.asarray(vector / np.linalg.norm(vector), np.float64)


def _points_towards(direction: NDArray[np.float64], wanted: tuple[int, int, int]) -> float:
    """Above 0 if a direction's main component has the wanted sign of that component."""
    main = int(np.abs(direction).argmax())
    return float(direction[main] * wanted[main])


def direction_letter(direction: NDArray[np.float64]) -> str:
    """L, R, A, P, H or F: the direction in the patient that is nearest."""
    main = int(np.abs(direction).argmax())
    return DIRECTION_LETTERS[main][int(direction[main] > 0)]


def plane_name(volume: Volume, normal: int) -> str:
    """Axial, coronal, sagittal or oblique, by the axis of the grid that is perpendicular to the plane."""
    direction = np.abs(_direction(volume, normal))
    main = int(direction.argmax())
    return PLANE_NAMES[main] if direction[main] >= MIN_NAMED_COSINE else "oblique"


def slice_index(volume: Volume, sop_instance_uid: str, frame: int | None) -> int | None:
    """The index of an image (and frame) in the volume; None if it is not one of its slices."""
    for index, (uid, number) in enumerate(zip(volume.sop_instance_uids, volume.frame_numbers, strict=True)):
        if uid == sop_instance_uid and frame in (None, number):
            return index
    return None


def clamp_to_volume(volume: Volume, position: Lps) -> tuple[float, float, float]:
    """(z, y, x) index of a position in the patient, moved to the volume's edge if it lies outside."""
    return tuple(float(np.clip(v, 0, n - 1)) for v, n in zip(volume.index(position), volume.hu.shape, strict=True))  # type: ignore[return-value]
