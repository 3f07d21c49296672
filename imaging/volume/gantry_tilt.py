"""A series of a tilted gantry as upright slices, and what was found on them back on the images as they came.

Each slice is moved within its own plane, so that the slices lie above each other along their normal: a shear, by bilinear
interpolation (scipy.ndimage). No slice is turned, none is made anew: slice for slice the two volumes show the same plane of the
patient, and only rows and columns differ. Points in the patient are the same in both.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as _ndimage

from core.records import Finding, HeatMap, Mask
from imaging.masks import pack, pack_heat, unpack, unpack_heat
from imaging.volume.geometry import normal_of, tilt_degrees
from imaging.volume.volume import Volume

AIR_HU = -1024
ndimage: Any = _ndimage  # without types of its own


@dataclass(frozen=True, slots=True)
class Upright:
    """``volume``: the upright one. ``shifts``: (Z, 2) rows and columns by which each image's first pixel lies inside its grid."""

    volume: Volume
    shifts: NDArray[np.float64]
    degrees: float


def tilt_of(volume: Volume) -> float:
    """Degrees between the direction in which the slices are stacked and their normal."""
    return tilt_degrees(volume.affine[:3, 2], _normal(volume))


def _normal(volume: Volume) -> NDArray[np.float64]:
    row, column = (volume.affine[:3, axis] / np.linalg.norm(volume.affine[:3, axis]) for axis in (0, 1))
    return normal_of([*row, *column])


def upright(volume: Volume) -> Upright:
    """The volume with its slices above each other; what no image covers is air.

    Its grid is so large that no pixel of an image is lost.
    """
    slices, rows, columns = volume.hu.shape
    row, column = volume.affine[:3, 0], volume.affine[:3, 1]
    corners = np.array([volume.corner(z) for z in range(slices)])
    moved = corners - corners[0]
    offsets = np.stack([moved @ column / (column @ column), moved @ row / (row @ row)], axis=1)
    first = np.floor(offsets.min(axis=0) + 1e-6)
    shifts = np.maximum(offsets - first, 0.0)
    more = np.ceil(shifts.max(axis=0) - 1e-6).astype(int)
    hu = np.full((slices, rows + more[0], columns + more[1]), AIR_HU, np.int16)
    for z in range(slices):
        plane = np.full(hu.shape[1:], AIR_HU, np.float32)
        plane[:rows, :columns] = volume.hu[z]
        hu[z] = np.rint(ndimage.shift(plane, shifts[z], order=1, mode="constant", cval=AIR_HU, prefilter=False))
    normal, degrees = _normal(volume), tilt_of(volume)
    step = float(volume.affine[:3, 2] @ normal)
    affine = volume.affine.copy()
    affine[:3, 2] = step * normal
    affine[:3, 3] = corners[0] + first[0] * column + first[1] * row
    hu.flags.writeable = False
    made = replace(volume, hu=hu, affine=affine, spacing_mm=(step, *volume.spacing_mm[1:]), positions_mm=())
    return Upright(made, shifts, degrees)


def finding_back(finding: Finding, on: Upright, images: Volume) -> Finding:
    """The finding with point and mask on the images' own pixels; its place in the patient is the same."""
    point = finding.image_point
    z = _slice(on.volume, finding)
    if point is not None and z is not None:
        down, right = on.shifts[z]
        point = point[0] - float(right), point[1] - float(down)
    mask = None if finding.mask is None else _mask_back(finding.mask, on.shifts, images.hu.shape)
    return replace(finding, image_point=point, mask=mask)


def _slice(volume: Volume, finding: Finding) -> int | None:
    names = zip(volume.sop_instance_uids, volume.frame_numbers, strict=True)
    return next((z for z, name in enumerate(names) if name == (finding.sop_instance_uid, finding.frame or name[1])), None)


def _mask_back(mask: Mask, shifts: NDArray[np.float64], shape: tuple[int, int, int]) -> Mask | None:
    """Each plane moved back by whole pixels, the nearest; what lies in the air around the images is cut off."""
    depth, height, width = mask.shape
    reach = np.ceil(shifts.max(axis=0)).astype(int)
    room = np.zeros((depth, height + reach[0] + 1, width + reach[1] + 1), bool)  # its corner: mask.origin - reach
    for index, plane in enumerate(unpack(mask)):
        down, right = reach - np.rint(shifts[mask.origin[0] + index]).astype(int)
        room[index, down : down + height, right : right + width] = plane
    top, left = mask.origin[1] - reach[0], mask.origin[2] - reach[1]
    cut = room[:, max(0, -top) : max(0, shape[1] - top), max(0, -left) : max(0, shape[2] - left)]
    packed = pack(cut)
    if packed is None:
        return None
    z, y, x = packed.origin
    return replace(packed, origin=(mask.origin[0] + z, max(0, top) + y, max(0, left) + x))


def heat_back(heat: HeatMap, on: Upright, images: Volume) -> HeatMap:
    """The map on a grid of the same steps over the images: its planes lie with the images, and are moved as they are."""
    values = unpack_heat(heat)
    _, rows, columns = images.hu.shape
    step_y, step_x = heat.step[1], heat.step[2]
    origin_y, origin_x = (step_y - 1) / 2, (step_x - 1) / 2
    count = math.ceil(rows / step_y), math.ceil(columns / step_x)
    y, x = np.mgrid[: count[0], : count[1]].astype(np.float64)
    made = np.zeros((len(values), *count), np.float32)
    for index, plane in enumerate(values):
        z = heat.origin[0] + heat.step[0] * index
        down, right = (float(np.interp(z, np.arange(len(on.shifts)), on.shifts[:, axis])) for axis in (0, 1))
        at_y = (origin_y + step_y * y + down - heat.origin[1]) / step_y
        at_x = (origin_x + step_x * x + right - heat.origin[2]) / step_x
        made[index] = ndimage.map_coordinates(plane, [at_y, at_x], order=1, mode="constant", cval=0.0)
    return pack_heat(made, origin=(heat.origin[0], origin_y, origin_x), step=heat.step, meaning=heat.meaning)
