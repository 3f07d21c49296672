"""Density of a candidate (solid, part-solid, ground-glass) and its mask on the series' own voxels."""

from collections.abc import Mapping

import numpy as np

from core.records import Mask
from imaging import masks
from imaging.ndimage import ndimage
from models.ct.isotropic_grid import ResamplingGrid, denormalise, resample
from models.lung_nodule_ct.candidates import Bools, NoduleCandidate
from models.lung_nodule_ct.heat import NoduleHeat

KINDS = ("solid", "part_solid", "ground_glass")


def solid_share(candidate: NoduleCandidate, heat: NoduleHeat, solid_hu: float) -> float:
    """Share of a region's voxels above ``solid_hu``, without its outer millimetre where at least 8 voxels remain."""
    core: Bools = ndimage.binary_erosion(np.pad(candidate.inside, 1))[1:-1, 1:-1, 1:-1]
    inner = core if core.sum() >= 8 else candidate.inside
    box = tuple(slice(a, a + n) for a, n in zip(candidate.corner, candidate.inside.shape, strict=True))
    return float((denormalise(heat.image[box][inner]) > solid_hu).mean())


def density_kind(share: float, thresholds: Mapping[str, float]) -> str:
    """Solid, part-solid or ground-glass, by the share of the region that is dense."""
    if share >= thresholds["solid_share"]:
        return "solid"
    return "part_solid" if share >= thresholds["glass_share"] else "ground_glass"


def native_mask(candidate: NoduleCandidate, grid: ResamplingGrid, shape: tuple[int, ...]) -> Mask | None:
    """The region on the series' own voxels, (Z, Y, X) of ``shape``: where it covers at least half of the voxel, interpolated."""
    low = [c - 1 for c in candidate.corner]
    values = np.pad(candidate.inside, 1).astype(np.float32)
    first, size = [], []
    for axis in range(3):
        start = grid.origin[axis] + low[axis] * grid.step[axis]
        end = start + (values.shape[axis] - 1) * grid.step[axis]
        a, b = max(0, int(np.ceil(start))), min(shape[axis] - 1, int(np.floor(end)))
        first.append(a)
        size.append(max(1, b - a + 1))
    z, y, x = (i - a for i, a in zip(grid.from_native((first[0], first[1], first[2])), low, strict=True))
    step = tuple(1.0 / s for s in grid.step)
    native = ResamplingGrid((z, y, x), (step[0], step[1], step[2]), (size[0], size[1], size[2]))
    covered = resample(values, native, smooth=False) >= 0.5
    middle = tuple(int(np.clip(round(c) - a, 0, n - 1)) for c, a, n in zip(candidate.centre, first, size, strict=True))
    if not covered.any():  # the region is thinner than the distance of the slices: take the voxel at its centre
        covered[middle] = True
    packed = masks.pack_mask(covered)
    if packed is None:
        return None
    origin = tuple(o + a for o, a in zip(packed.origin, first, strict=True))
    return Mask((origin[0], origin[1], origin[2]), packed.shape, packed.bits)
