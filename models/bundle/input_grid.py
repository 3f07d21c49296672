"""Resamples a series to the grid and orientation of an imported network (MONAI's Orientationd, Spacingd, ScaleIntensityRanged)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imaging.volume.volume import Volume
from models.card import ModelCard
from models.ct.isotropic_grid import ResamplingGrid, resample

THREADS = 2  # fixed, so that the same series gives the same bits on the same kind of machine
LEAST_ALIGNED = 0.9


def is_axial(volume: Volume) -> bool:
    """Whether columns, rows and slices run along the patient's x, y and z axes (cosines of at least 0.9)."""
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    return bool((np.abs(np.diag(axes)) >= LEAST_ALIGNED).all())


def flips_to_ras(volume: Volume) -> tuple[bool, bool, bool]:
    """Whether x, y and z run against RAS: +x of LPS is left, +y is posterior."""
    x, y, z = np.diag(volume.affine[:3, :3])
    return bool(x > 0), bool(y > 0), bool(z < 0)


def bundle_grid(volume: Volume, pixdim_mm: Sequence[float]) -> ResamplingGrid:
    """The whole volume on voxels of ``pixdim_mm`` (x, y, z)."""
    steps = [wanted / have for wanted, have in zip(reversed(pixdim_mm), volume.spacing_mm, strict=True)]
    shape = [max(1, int(np.floor((n - 1) / step)) + 1) for n, step in zip(volume.hu.shape, steps, strict=True)]
    return ResamplingGrid((0.0, 0.0, 0.0), (steps[0], steps[1], steps[2]), (shape[0], shape[1], shape[2]))


def network_input(volume: Volume, grid: ResamplingGrid, flips: tuple[bool, bool, bool], card: ModelCard) -> npt.NDArray[np.float32]:
    """(X, Y, Z) float32 in RAS order, scaled to the card's range."""
    (hu_low, hu_high), (low, high) = card.preprocessing["hu"], card.preprocessing["range"]
    values = resample(volume.hu, grid).transpose(2, 1, 0)
    for axis, flip in enumerate(flips):
        values = np.flip(values, axis) if flip else values
    share = np.clip((values - hu_low) / (hu_high - hu_low), 0.0, 1.0)
    out: npt.NDArray[np.float32] = np.ascontiguousarray(share * (high - low) + low, np.float32)
    return out
