"""Stored values of CT slices to Hounsfield units (PS3.3 C.11.1.1.2), int16."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from core.counted import counted
from core.errors import PixelError
from imaging.volume.ct_slices import CtSlice

_HU_LOW, _HU_HIGH = -32768, 32767


def fill_hounsfield(slices: Sequence[CtSlice], threads: int, notes: list[str]) -> NDArray[np.int16]:
    """(Z, Y, X) int16 Hounsfield units of slices of one size. Read and decoded by ``threads`` threads.

    Memory: the array, and one slice's bytes per thread.

    Raises
    ------
    PixelError
        A slice cannot be decoded, or the array does not fit into memory.
    """
    first = slices[0]
    try:
        out = np.empty((len(slices), first.rows, first.columns), np.int16)
    except MemoryError as error:
        raise PixelError(f"{len(slices)} slices of {first.rows} x {first.columns} do not fit into memory") from error

    def fill(index: int) -> bool:
        return write_hounsfield(slices[index], out[index])

    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="slices") as pool:
        clipped = sum(pool.map(fill, range(len(slices))))
    if clipped:
        notes.append(f"values beyond int16 clipped in {counted(clipped, 'slice')}")
    return out


def have_equal_values(one: CtSlice, other: CtSlice) -> bool:
    """Whether two slices of one size have the same Hounsfield units."""
    values = np.empty((2, one.rows, one.columns), np.int16)
    write_hounsfield(one, values[0])
    write_hounsfield(other, values[1])
    return bool(np.array_equal(values[0], values[1]))


def write_hounsfield(ct_slice: CtSlice, out: NDArray[np.int16]) -> bool:
    """Write a slice's Hounsfield units into ``out``, (Y, X). Returns whether any value was clipped to int16."""
    stored = ct_slice.stored_values()
    slope, intercept = ct_slice.slope, ct_slice.intercept
    low, high = ct_slice.source.spec.stored_range
    if slope == 1 and intercept.is_integer() and _fits_int16(low, high) and _fits_int16(low + intercept, high + intercept):
        np.add(stored, np.int16(intercept), out=out, dtype=np.int16, casting="unsafe")  # the usual case: nothing can overflow
        return False
    if slope.is_integer() and intercept.is_integer() and abs(slope) < 2**14 and abs(intercept) < 2**30:
        wide = stored.astype(np.int32)
        if slope != 1:
            wide *= int(slope)
        wide += int(intercept)
        values: NDArray[np.generic] = wide
    else:
        values = np.rint(stored.astype(np.float64) * slope + intercept)
    clipped = bool(values.min() < _HU_LOW or values.max() > _HU_HIGH)
    if clipped:
        values = np.clip(values, _HU_LOW, _HU_HIGH)
    out[...] = values
    return clipped


def _fits_int16(low: float, high: float) -> bool:
    return low >= _HU_LOW and high <= _HU_HIGH
