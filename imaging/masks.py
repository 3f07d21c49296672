"""Masks and heat maps: arrays to the packed records that are passed between stages, and back."""

import numpy as np
from numpy.typing import NDArray

from core.errors import NonFiniteOutput
from core.records import HeatMap, Mask

GridVector = tuple[float, float, float]


def pack_mask(mask: NDArray[np.bool_]) -> Mask | None:
    """Pack a (Z, Y, X) bool array into the smallest box that holds every voxel that is set; None if no voxel is set."""
    if not mask.any():
        return None
    box = box_of(mask)
    z, y, x = (side.start for side in box)
    depth, rows, columns = mask[box].shape
    return Mask((z, y, x), (depth, rows, columns), np.packbits(mask[box]).tobytes())


def box_of(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds everything that is set in a mask of any dimensions that is not empty: a slice for each axis."""
    axes = range(mask.ndim)
    hits = [np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    return tuple(slice(int(hit[0]), int(hit[-1]) + 1) for hit in hits)


def unpack_mask(mask: Mask) -> NDArray[np.bool_]:
    """The box of a mask, (Z, Y, X) bool of ``mask.shape``."""
    depth, rows, columns = mask.shape
    bits = np.unpackbits(np.frombuffer(mask.bits, np.uint8), count=depth * rows * columns)
    return bits.reshape(mask.shape).astype(bool)


def expand_mask(mask: Mask, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """The mask on a whole grid of ``shape``, (Z, Y, X) bool. Raises ValueError if the box reaches beyond the grid."""
    end = check_fits_grid(mask, shape)
    whole = np.zeros(shape, dtype=bool)
    whole[tuple(slice(o, e) for o, e in zip(mask.origin, end, strict=True))] = unpack_mask(mask)
    return whole


def check_fits_grid(mask: Mask, shape: tuple[int, int, int]) -> tuple[int, ...]:
    """The end of the mask's box, exclusive. Raises ValueError if it lies beyond a grid of ``shape``."""
    end = tuple(start + size for start, size in zip(mask.origin, mask.shape, strict=True))
    if any(stop > size for stop, size in zip(end, shape, strict=True)):
        raise ValueError(f"a mask that ends at {end} does not fit a grid of {shape}")
    return end


def pack_heat_map(
    values: NDArray[np.floating], *, origin: GridVector = (0.0, 0.0, 0.0), step: GridVector = (1.0, 1.0, 1.0), meaning: str
) -> HeatMap:
    """Pack (Z, Y, X) values from 0 to 1; values outside are clipped. ``origin``, ``step``: of the map's grid, in voxels of the images.

    Raises
    ------
    NonFiniteOutput
        A value is NaN or infinite. Converted to a grey value, it would be some value of the map.
    """
    if not np.isfinite(values).all():
        raise NonFiniteOutput("the heat map holds values that are no numbers")
    depth, rows, columns = values.shape
    return HeatMap((depth, rows, columns), origin, step, meaning, np.round(np.clip(values, 0, 1) * 255).astype(np.uint8).tobytes())


def unpack_heat_map(heat: HeatMap) -> NDArray[np.float32]:
    """(Z, Y, X) float32 in 0..1 of ``heat.shape``."""
    return np.frombuffer(heat.values, np.uint8).reshape(heat.shape).astype(np.float32) / np.float32(255)
