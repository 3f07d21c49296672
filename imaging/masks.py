"""Masks and heat maps between arrays and the packed records that travel between stages."""

import numpy as np
from numpy.typing import NDArray

from core.records import HeatMap, Mask

Grid = tuple[float, float, float]


def pack(mask: NDArray[np.bool_]) -> Mask | None:
    """The smallest box of (Z, Y, X) bool that holds every voxel that is set; None where none is."""
    if not mask.any():
        return None
    spans = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        spans.append((int(hit[0]), int(hit[-1]) + 1))
    (z0, z1), (y0, y1), (x0, x1) = spans
    box = mask[z0:z1, y0:y1, x0:x1]
    return Mask((z0, y0, x0), (z1 - z0, y1 - y0, x1 - x0), np.packbits(box).tobytes())


def unpack(mask: Mask) -> NDArray[np.bool_]:
    """The box alone, (Z, Y, X) bool of ``mask.shape``."""
    depth, rows, columns = mask.shape
    bits = np.unpackbits(np.frombuffer(mask.bits, np.uint8), count=depth * rows * columns)
    return bits.reshape(mask.shape).astype(bool)


def on_grid(mask: Mask, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """The mask on the whole grid of ``shape``. Raises ValueError where the box leaves it."""
    end = [o + s for o, s in zip(mask.origin, mask.shape, strict=True)]
    if any(e > n for e, n in zip(end, shape, strict=True)):
        raise ValueError(f"a mask that ends at {tuple(end)} does not fit a grid of {shape}")
    whole = np.zeros(shape, dtype=bool)
    whole[tuple(slice(o, e) for o, e in zip(mask.origin, end, strict=True))] = unpack(mask)
    return whole


def pack_heat(values: NDArray[np.floating], *, origin: Grid = (0.0, 0.0, 0.0), step: Grid = (1.0, 1.0, 1.0), meaning: str) -> HeatMap:
    """(Z, Y, X) values in 0..1 as a record; what is outside of 0..1 is clipped."""
    depth, rows, columns = values.shape
    return HeatMap((depth, rows, columns), origin, step, meaning, np.round(np.clip(values, 0, 1) * 255).astype(np.uint8).tobytes())


def unpack_heat(heat: HeatMap) -> NDArray[np.float32]:
    """(Z, Y, X) float32 in 0..1 of ``heat.shape``."""
    return np.frombuffer(heat.values, np.uint8).reshape(heat.shape).astype(np.float32) / np.float32(255)
