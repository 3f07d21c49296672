"""Correction of gantry tilt: a sheared volume made upright, and findings and heat maps of the upright volume put back on the images.

Each slice is shifted within its own plane, so that the slices lie above each other along their normal: a shear, by bilinear
interpolation (scipy.ndimage). Slices are neither rotated nor resampled across: a slice of either volume shows the same plane of the
patient, and only rows and columns differ. Positions in the patient are the same in both.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.records import Finding, HeatMap, Mask
from imaging.masks import pack_heat_map, pack_mask, unpack_heat_map, unpack_mask
from imaging.ndimage import ndimage
from imaging.volume.geometry import angle_to_normal_degrees, slice_normal
from imaging.volume.volume import Volume

AIR_HU = -1024


@dataclass(frozen=True, slots=True)
class UprightVolume:
    """A volume after correction of gantry tilt.

    ``shifts``: (Z, 2) rows and columns by which the first pixel of each image is shifted inside the grid. ``degrees``: the tilt.
    """

    volume: Volume
    shifts: NDArray[np.float64]
    degrees: float


def gantry_tilt_degrees(volume: Volume) -> float:
    """The angle between the direction in which the slices are stacked and their normal."""
    return angle_to_normal_degrees(volume.affine[:3, 2], _volume_normal(volume))


def _volume_normal(volume: Volume) -> NDArray[np.float64]:
    row, column = (volume.affine[:3, axis] / np.linalg.norm(volume.affine[:3, axis]) for axis in (0, 1))
    return slice_normal([*row, *column])


def make_upright(volume: Volume) -> UprightVolume:
    """Shift the slices of a tilted volume above each other. The grid grows so that no pixel is lost; what no image covers is air."""
    slices, rows, columns = volume.hu.shape
    row, column = volume.affine[:3, 0], volume.affine[:3, 1]
    corners = np.array([volume.corner(z) for z in range(slices)])
    displacements = corners - corners[0]
    offsets = np.stack([displacements @ column / (column @ column), displacements @ row / (row @ row)], axis=1)
    first = np.floor(offsets.min(axis=0) + 1e-6)
    shifts = np.maximum(offsets - first, 0.0)
    extra = np.ceil(shifts.max(axis=0) - 1e-6).astype(int)
    hu = np.full((slices, rows + extra[0], columns + extra[1]), AIR_HU, np.int16)
    for z in range(slices):
        plane = np.full(hu.shape[1:], AIR_HU, np.float32)
        plane[:rows, :columns] = volume.hu[z]
        hu[z] = np.rint(ndimage.shift(plane, shifts[z], order=1, mode="constant", cval=AIR_HU, prefilter=False))
    normal, degrees = _volume_normal(volume), gantry_tilt_degrees(volume)
    step = float(volume.affine[:3, 2] @ normal)
    affine = volume.affine.copy()
    affine[:3, 2] = step * normal
    affine[:3, 3] = corners[0] + first[0] * column + first[1] * row
    hu.flags.writeable = False
    corrected = replace(volume, hu=hu, affine=affine, spacing_mm=(step, *volume.spacing_mm[1:]), positions_mm=())
    return UprightVolume(corrected, shifts, degrees)


def finding_on_images(finding: Finding, upright: UprightVolume, images: Volume) -> Finding:
    """A finding of the upright volume, its point and mask moved to the pixels of the images. Its position in the patient stays."""
    point = finding.image_point
    z = _slice_index(upright.volume, finding)
    if point is not None and z is not None:
        down, right = upright.shifts[z]
        point = point[0] - float(right), point[1] - float(down)
    mask = None if finding.mask is None else _mask_on_images(finding.mask, upright.shifts, images.hu.shape)
    return replace(finding, image_point=point, mask=mask)


def _slice_index(volume: Volume, finding: Finding) -> int | None:
    names = zip(volume.sop_instance_uids, volume.frame_numbers, strict=True)
    return next((z for z, name in enumerate(names) if name == (finding.sop_instance_uid, finding.frame or name[1])), None)


def _mask_on_images(mask: Mask, shifts: NDArray[np.float64], shape: tuple[int, int, int]) -> Mask | None:
    """Each plane shifted back by the nearest whole pixels; what lies outside of the images is cut off."""
    depth, height, width = mask.shape
    reach = np.ceil(shifts.max(axis=0)).astype(int)
    padded = np.zeros((depth, height + reach[0] + 1, width + reach[1] + 1), bool)  # its corner: mask.origin - reach
    for index, plane in enumerate(unpack_mask(mask)):
        down, right = reach - np.rint(shifts[mask.origin[0] + index]).astype(int)
        padded[index, down : down + height, right : right + width] = plane
    top, left = mask.origin[1] - reach[0], mask.origin[2] - reach[1]
    cropped = padded[:, max(0, -top) : max(0, shape[1] - top), max(0, -left) : max(0, shape[2] - left)]
    packed = pack_mask(cropped)
    if packed is None:
        return None
    z, y, x = packed.origin
    return replace(packed, origin=(mask.origin[0] + z, max(0, top) + y, max(0, left) + x))


def heat_map_on_images(heat: HeatMap, upright: UprightVolume, images: Volume) -> HeatMap:
    """A heat map of the upright volume on a grid of the same steps over the images, each plane shifted as its images are."""
    values = unpack_heat_map(heat)
    _, rows, columns = images.hu.shape
    step_y, step_x = heat.step[1], heat.step[2]
    origin_y, origin_x = (step_y - 1) / 2, (step_x - 1) / 2
    count = math.ceil(rows / step_y), math.ceil(columns / step_x)
    y, x = np.mgrid[: count[0], : count[1]].astype(np.float64)
    moved = np.zeros((len(values), *count), np.float32)
    for index, plane in enumerate(values):
        z = heat.origin[0] + heat.step[0] * index
        down, right = (float(np.interp(z, np.arange(len(upright.shifts)), upright.shifts[:, axis])) for axis in (0, 1))
        at_y = (origin_y + step_y * y + down - heat.origin[1]) / step_y
        at_x = (origin_x + step_x * x + right - heat.origin[2]) / step_x
        moved[index] = ndimage.map_coordinates(plane, [at_y, at_x], order=1, mode="constant", cval=0.0)
    return pack_heat_map(moved, origin=(heat.origin[0], origin_y, origin_x), step=heat.step, meaning=heat.meaning)
