"""Values of a heat map at places of the unit's grid, by linear interpolation."""

import numpy as np
from numpy.typing import NDArray

from core.records import HeatMap
from imaging.masks import unpack_heat_map


def heat_on_slice(heat: HeatMap, z: float, shape: tuple[int, int]) -> NDArray[np.float32]:
    """(Y, X) float32: the map's values on slice ``z`` of a grid with ``shape`` rows and columns; 0 outside of the map."""
    return heat_at(heat, z, np.arange(shape[0], dtype=np.float64), np.arange(shape[1], dtype=np.float64))


def heat_at(heat: HeatMap, z: float, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float32]:
    """As `heat_on_slice`, at fractional rows and columns of the unit's grid."""
    plane = _interpolate(unpack_heat_map(heat), np.array([(z - heat.origin[0]) / heat.step[0]]), 0)[0]
    down = _interpolate(plane, (rows - heat.origin[1]) / heat.step[1], 0)
    return _interpolate(down, (columns - heat.origin[2]) / heat.step[2], 1)


def _interpolate(values: NDArray[np.float32], at: NDArray[np.floating], axis: int) -> NDArray[np.float32]:
    """Linear interpolation along an axis at fractional indices; the outermost value reaches half a step further, then 0."""
    count = values.shape[axis]
    index = np.clip(at, 0, count - 1)
    low = np.floor(index).astype(np.intp)
    high = np.minimum(low + 1, count - 1)
    shape = [1] * values.ndim
    shape[axis] = len(at)
    weight = (index - low).astype(np.float32).reshape(shape)
    inside = ((at >= -0.5) & (at <= count - 0.5)).astype(np.float32).reshape(shape)
    mixed = values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight
    return np.asarray(mixed * inside, np.float32)
