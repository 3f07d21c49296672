"""Between a series and the grid and orientation that an imported network wants (MONAI's Orientationd, Spacingd, ScaleIntensityRanged)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imaging.volume.volume import Volume
from models.card import ModelCard
from models.ct.isotropic_grid import Grid, resample

THREADS = 2  # fixed, so that the same series gives the same bits on the same kind of machine
LEAST_ALIGNED = 0.9


def aligned(volume: Volume) -> bool:
    """Whether columns, rows and slices run along the patient's x, y and z axes, near enough."""
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    return bool((np.abs(np.diag(axes)) >= LEAST_ALIGNED).all())


def flips_of(volume: Volume) -> tuple[bool, bool, bool]:
    """Which of x, y, z run against RAS: +x of LPS is left, +y is posterior."""
    x, y, z = np.diag(volume.affine[:3, :3])
    return bool(x > 0), bool(y > 0), bool(z < 0)


def grid_of(volume: Volume, pixdim_mm: Sequence[float]) -> Grid:
    """The whole volume on voxels of ``pixdim_mm`` (x, y, z)."""
    steps = [wanted / have for wanted, have in zip(reversed(pixdim_mm), volume.spacing_mm, strict=True)]
    shape = [max(1, int(np.floor((n - 1) / step)) + 1) for n, step in zip(volume.hu.shape, steps, strict=True)]
    return Grid((0.0, 0.0, 0.0), (steps[0], steps[1], steps[2]), (shape[0], shape[1], shape[2]))


def prepared(volume: Volume, grid: Grid, flips: tuple[bool, bool, bool], card: ModelCard) -> npt.NDArray[np.float32]:
    """(X, Y, Z) float32 in RAS order, in the range that the card says."""
    (hu_low, hu_high), (low, high) = card.preprocessing["hu"], card.preprocessing["range"]
    values = resample(volume.hu, grid).transpose(2, 1, 0)
    for axis, flip in enumerate(flips):
        values = np.flip(values, axis) if flip else values
    share = np.clip((values - hu_low) / (hu_high - hu_low), 0.0, 1.0)
    out: npt.NDArray[np.float32] = np.ascontiguousarray(share * (high - low) + low, np.float32)
    return out
