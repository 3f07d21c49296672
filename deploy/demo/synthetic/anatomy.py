"""Draws a chest in Hounsfield units: body, fat, lungs, heart, spine, ribs, airways, branching vessels, nodules, noise.

It has the structures that a detector has to tell from nodules. Lengths in the plane are fractions of the field of view, lengths along the
body fractions of the scan (``u``, 0 at the feet), so that a small volume is a small chest. Nodules are in millimetres.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deploy.demo.synthetic.lungs import lung_depth
from deploy.demo.synthetic.tree import Capsule, airways, vessels

Floats = NDArray[np.floating[Any]]

_AIR, _FAT, _MUSCLE, _LUNG, _BLOOD, _BONE = -1000.0, -95.0, 45.0, -865.0, 60.0, 420.0
_NOISE_HU = 14.0


@dataclass(frozen=True, slots=True)
class ChestGrid:
    """(Z, Y, X) shape and (z, y, x) spacing in mm. The origin of space is the middle of the volume, LPS."""

    slices: int
    size: int
    slice_mm: float
    pixel_mm: float

    @property
    def field_mm(self) -> float:
        """Field of view, mm."""
        return self.size * self.pixel_mm

    @property
    def length_mm(self) -> float:
        """Length of the scan, mm."""
        return self.slices * self.slice_mm

    def z_mm(self) -> Floats:
        """Return the (Z,) centres of the slices from the feet to the head, mm."""
        return ((np.arange(self.slices) - (self.slices - 1) / 2) * self.slice_mm).astype(np.float32)

    def x_mm(self) -> Floats:
        """Return the (X,) centres of the columns from right to left, mm; those of the rows from front to back are the same."""
        return ((np.arange(self.size) - (self.size - 1) / 2) * self.pixel_mm).astype(np.float32)


@dataclass(frozen=True, slots=True)
class NoduleSphere:
    """A solid nodule: centre (x, y, z) in mm, diameter in mm, density in HU."""

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    hu: float


def draw_chest(grid: ChestGrid, rng: np.random.Generator, nodules: tuple[NoduleSphere, ...]) -> NDArray[np.int16]:
    """Return (Z, Y, X) int16 HU. Takes about 60 ms per slice of 512 x 512."""
    hu = np.empty((grid.slices, grid.size, grid.size), np.float32)
    axis = grid.x_mm() / np.float32(grid.field_mm)
    x, y = axis[None, :], axis[:, None]
    for index in range(grid.slices):
        hu[index] = _slice(x, y, (index + 0.5) / grid.slices, grid, rng)
    for capsule in vessels(grid.field_mm, grid.length_mm, grid.pixel_mm, rng):
        _draw_tube(hu, grid, capsule, _BLOOD, np.maximum)
    for capsule in airways(grid.field_mm, grid.length_mm, grid.pixel_mm, rng):
        _draw_tube(hu, grid, capsule, _AIR, np.minimum)
    for nodule in nodules:
        _draw_nodule(hu, grid, nodule)
    out = np.empty(hu.shape, np.int16)
    for index in range(grid.slices):
        out[index] = np.clip(np.rint(hu[index] + _noise(grid.size, rng)), -1024, 3071)
    return out


def _soft(inside: Floats, grid: ChestGrid) -> Floats:
    """Convert depth (fractions of the field of view) to coverage from 0 to 1 over one pixel."""
    cover: Floats = np.clip(inside * np.float32(grid.size) + np.float32(0.5), 0.0, 1.0)
    return cover


def _slice(x: Floats, y: Floats, u: float, grid: ChestGrid, rng: np.random.Generator) -> Floats:
    radius = np.sqrt((x / 0.455) ** 2 + (y / 0.335) ** 2)
    body = _soft((1.0 - radius) * 0.335, grid)
    plane = np.float32(_AIR) + (np.float32(_FAT) - np.float32(_AIR)) * body
    muscle = _soft((0.93 - radius) * 0.335, grid)
    plane += (np.float32(_MUSCLE) - plane) * muscle
    lung = _soft(lung_depth(x, y, u), grid)
    coarse = Image.fromarray(rng.standard_normal((max(2, grid.size // 8),) * 2).astype(np.float32))
    texture = np.asarray(coarse.resize((grid.size, grid.size), Image.Resampling.BILINEAR))
    plane += (np.float32(_LUNG) + 60.0 * y + 18.0 * texture - plane) * lung
    angle = np.arctan2(y, x)
    turn = (u * grid.length_mm + 60.0 * np.abs(np.sin(angle / 2 + np.pi / 4)) ** 2) / 26.0  # ribs descend towards the front
    rib = _soft(0.011 - np.abs(radius - 0.86) * 0.335, grid) * ((turn % 1.0) < 0.36)
    plane += (np.float32(_BONE) - plane) * rib
    for cx, cy, r, value in ((0.0, 0.215, 0.05, 260.0), (0.0, 0.275, 0.024, 25.0), (0.05, 0.15, 0.034, 80.0), (-0.03, -0.04, 0.03, 70.0)):
        if value == 260.0 and (u * grid.length_mm / 30.0) % 1.0 < 0.15:
            value = 70.0  # a disc between two vertebrae
        plane += (np.float32(value) - plane) * _soft(r - np.sqrt((x - cx) ** 2 + (y - cy) ** 2), grid)
    table = _soft(0.006 - np.abs(y - 0.37 + 0.25 * x**2), grid) * (np.abs(x) < 0.4)
    plane += (np.float32(-350.0) - plane) * table
    return plane.astype(np.float32, copy=False)


def _noise(size: int, rng: np.random.Generator) -> Floats:
    """Return noise as after a smooth reconstruction kernel: neighbouring pixels are correlated."""
    white = rng.standard_normal((size, size), np.float32)
    correlated: Floats = white + 0.6 * (np.roll(white, 1, 0) + np.roll(white, 1, 1)) + 0.3 * np.roll(white, (1, 1), (0, 1))
    correlated *= np.float32(_NOISE_HU / 1.35)
    return correlated


def _box(grid: ChestGrid, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[slice, slice, slice] | None:
    """Return the (z, y, x) slices of the voxels between two corners in mm; None when there are none."""
    z, x = grid.z_mm(), grid.x_mm()
    slices = []
    for axis, start, stop in ((z, low[2], high[2]), (x, low[1], high[1]), (x, low[0], high[0])):
        first, last = int(np.searchsorted(axis, start)), int(np.searchsorted(axis, stop))
        if first >= last:
            return None
        slices.append(slice(first, last))
    return slices[0], slices[1], slices[2]


def _draw_tube(hu: Floats, grid: ChestGrid, capsule: Capsule, value: float, keep: np.ufunc) -> None:
    """Draw a tube with partial volume effect: a slice is a slab, so the distance along z starts at its faces."""
    start, end = np.array(capsule.start_mm), np.array(capsule.end_mm)
    margin = np.array([capsule.radius_mm + grid.pixel_mm] * 2 + [capsule.radius_mm + grid.slice_mm])
    box = _box(grid, np.minimum(start, end) - margin, np.maximum(start, end) + margin)
    if box is None:
        return
    z, y, x = grid.z_mm()[box[0], None, None], grid.x_mm()[None, box[1], None], grid.x_mm()[None, None, box[2]]
    axis = end - start
    t = ((x - start[0]) * axis[0] + (y - start[1]) * axis[1] + (z - start[2]) * axis[2]) / max(float(axis @ axis), 1e-6)
    t = np.clip(t, 0.0, 1.0)
    dz = np.maximum(np.abs(z - start[2] - t * axis[2]) - grid.slice_mm / 2, 0.0)
    distance = np.sqrt((x - start[0] - t * axis[0]) ** 2 + (y - start[1] - t * axis[1]) ** 2 + dz**2)
    cover = np.clip((capsule.radius_mm - distance) / grid.pixel_mm + 0.5, 0.0, 1.0) * min(1.0, 2 * capsule.radius_mm / grid.slice_mm)
    hu[box] = keep(hu[box], hu[box] + (value - hu[box]) * cover)


def _draw_nodule(hu: Floats, grid: ChestGrid, nodule: NoduleSphere) -> None:
    """Draw a solid sphere, averaged over the thickness of the slices."""
    centre, radius = np.array(nodule.centre_mm), nodule.diameter_mm / 2
    margin = np.array([radius + grid.pixel_mm] * 2 + [radius + grid.slice_mm])
    box = _box(grid, centre - margin, centre + margin)
    if box is None:
        return
    z, y, x = grid.z_mm()[box[0], None, None], grid.x_mm()[None, box[1], None], grid.x_mm()[None, None, box[2]]
    flat = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    cover = np.zeros(hu[box].shape, np.float32)
    parts = 5
    for part in range(parts):
        dz = z + ((part + 0.5) / parts - 0.5) * grid.slice_mm - centre[2]
        cover += np.clip((radius - np.sqrt(flat + dz**2)) / grid.pixel_mm + 0.5, 0.0, 1.0)
    cover /= parts
    hu[box] += (nodule.hu - hu[box]) * cover
