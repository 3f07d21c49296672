"""Resampling from a series' own voxels to a regular grid and back, by separable linear interpolation."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imaging.ndimage import ndimage

Float = npt.NDArray[np.float32]
Index = tuple[float, float, float]
Spacing = tuple[float, float, float]

STEP_MM = 1.0
HU_LOW, HU_HIGH = -1000.0, 400.0


@dataclass(frozen=True, slots=True)
class ResamplingGrid:
    """A regular grid laid over a part of a volume.

    ``origin``: native (z, y, x) index of grid voxel (0, 0, 0); ``step``: native voxels per grid voxel along each axis; ``shape``: (Z, Y, X)
    of the grid. Voxel centres are at whole indices on both grids.
    """

    origin: Index
    step: Index
    shape: tuple[int, int, int]

    def to_native(self, index: Index) -> Index:
        """Native (z, y, x) index of a grid index."""
        z, y, x = (o + i * s for o, i, s in zip(self.origin, index, self.step, strict=True))
        return z, y, x

    def from_native(self, index: Index) -> Index:
        """Grid (z, y, x) index of a native index."""
        z, y, x = ((i - o) / s for o, i, s in zip(self.origin, index, self.step, strict=True))
        return z, y, x

    def native_coordinates(self, axis: int) -> npt.NDArray[np.float64]:
        """Native indices of the grid's planes along one axis."""
        at: npt.NDArray[np.float64] = self.origin[axis] + np.arange(self.shape[axis], dtype=np.float64) * self.step[axis]
        return at


def grid_over_box(low: Index, high: Index, spacing_mm: Spacing, step_mm: float = STEP_MM) -> ResamplingGrid:
    """The grid of ``step_mm`` from native index ``low`` to native index ``high`` (both included)."""
    step = tuple(step_mm / s for s in spacing_mm)
    shape = tuple(int(np.floor((b - a) / s)) + 1 for a, b, s in zip(low, high, step, strict=True))
    return ResamplingGrid(low, (step[0], step[1], step[2]), (shape[0], shape[1], shape[2]))


def cube_grid(centre: Index, edge: int, spacing_mm: Spacing, step_mm: float = STEP_MM) -> ResamplingGrid:
    """A cube of ``edge`` grid voxels around a native index."""
    step = tuple(step_mm / s for s in spacing_mm)
    origin = tuple(c - (edge - 1) / 2 * s for c, s in zip(centre, step, strict=True))
    return ResamplingGrid((origin[0], origin[1], origin[2]), (step[0], step[1], step[2]), (edge, edge, edge))


def _interpolate_axis(values: Float, axis: int, at: npt.NDArray[np.float64]) -> Float:
    """Interpolate linearly along one axis at fractional indices; outside, the edge is repeated."""
    at = np.clip(at, 0, values.shape[axis] - 1)
    below = np.minimum(np.floor(at).astype(np.intp), max(values.shape[axis] - 2, 0))
    above = np.minimum(below + 1, values.shape[axis] - 1)
    shape = [1, 1, 1]
    shape[axis] = len(at)
    weight = (at - below).astype(np.float32).reshape(shape)
    low = values.take(below, axis=axis)
    out: Float = low + (values.take(above, axis=axis) - low) * weight
    return out


def resample(values: npt.NDArray[np.generic], grid: ResamplingGrid, *, smooth: bool = True) -> Float:
    """Resample (Z, Y, X) of any number type to float32 on the grid.

    ``smooth`` filters axes that are finer than the grid first (Gaussian, 0.4 of a grid step), so that the noise of sharp kernels is
    averaged instead of sampled. Only the part under the grid (and a margin) is read.
    """
    offsets, parts = [], []
    for axis in range(3):
        at = grid.native_coordinates(axis)
        low = int(np.clip(np.floor(at[0]) - 4, 0, values.shape[axis] - 1))
        high = int(np.clip(np.ceil(at[-1]) + 5, low + 1, values.shape[axis]))
        offsets.append(low)
        parts.append(slice(low, high))
    out: Float = values[tuple(parts)].astype(np.float32)
    for axis in (2, 1, 0):  # the axes that shrink come first
        if smooth and grid.step[axis] > 1.25:
            out = ndimage.gaussian_filter1d(out, 0.4 * grid.step[axis], axis=axis, mode="nearest", truncate=3.0)
        out = _interpolate_axis(out, axis, grid.native_coordinates(axis) - offsets[axis])
    return out


def normalise(hu: Float) -> Float:
    """HU to the network's input range: -1000..400 to -1..1, clipped."""
    middle, half = (HU_LOW + HU_HIGH) / 2, (HU_HIGH - HU_LOW) / 2
    out: Float = ((np.clip(hu, HU_LOW, HU_HIGH) - middle) / half).astype(np.float32)
    return out


def denormalise(values: Float) -> Float:
    """The inverse of ``normalise``, within its range of HU."""
    middle, half = (HU_LOW + HU_HIGH) / 2, (HU_HIGH - HU_LOW) / 2
    out: Float = (values * half + middle).astype(np.float32)
    return out
