"""From a heat map to candidates: connected regions, how large they are, how dense, and which voxels they cover."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from core.records import Mask
from imaging import masks
from models.ct.isotropic_grid import STEP_MM, Float, Grid, Index, denormalise, resample
from models.ct.ndimage import ndimage
from models.lung_nodule_ct.heat_map import Heat

Bools = npt.NDArray[np.bool_]
KINDS = ("solid", "part_solid", "ground_glass")
SURE_VOXELS = 64  # a ball of 5 mm


@dataclass(frozen=True, slots=True)
class Candidate:
    """One connected region of the heat map.

    ``centre``: native (z, y, x) index, ``place`` the same on the heat map's grid; ``score``: 0..1, not a probability;
    ``volume_mm3`` of the region above the heat threshold, ``diameter_mm`` of the sphere of equal volume, ``long_axis_mm``
    the longest line in an axial plane and ``short_axis_mm`` the widest across it in that plane. ``corner`` and ``inside``:
    the region's box on the grid.
    """

    centre: Index
    place: Index
    score: float
    volume_mm3: float
    diameter_mm: float
    long_axis_mm: float
    short_axis_mm: float
    corner: tuple[int, int, int]
    inside: Bools


def axes(points: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Long and short axis in mm of a region's voxels (n, 3), on the axial plane where it is longest; a voxel counts with its width."""
    best, across = 0.0, 0.0
    for z in np.unique(points[:, 0]):
        plane = points[points[:, 0] == z][:, 1:].astype(np.float64)
        if len(plane) > 8:
            try:
                plane = plane[ConvexHull(plane).vertices]
            except QhullError:  # all on one line: few enough to compare each with each
                plane = np.stack([plane.min(axis=0), plane.max(axis=0)])
        apart = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
        longest = float(apart.max())
        if longest < best or (longest == best and best > 0):
            continue
        best, across = longest, 0.0
        if longest > 0:
            a, b = np.unravel_index(int(apart.argmax()), apart.shape)
            along = (plane[b] - plane[a]) / longest
            beside = plane @ np.array([-along[1], along[0]])
            across = float(beside.max() - beside.min())
    return (best + 1.0) * STEP_MM, (across + 1.0) * STEP_MM


def candidates(heat: Heat, thresholds: Mapping[str, float]) -> list[Candidate]:
    """Regions above ``thresholds["heat"]`` of at least ``thresholds["volume_mm3"]``, surest first."""
    labels, _ = ndimage.label(heat.values > thresholds["heat"])
    found = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == index
        volume = float(inside.sum()) * STEP_MM**3
        if volume < thresholds["volume_mm3"]:
            continue
        values = heat.values[box]
        points = np.argwhere(inside)
        weights = values[inside]
        corner = tuple(int(s.start) for s in box)
        z, y, x = (float(c) for c in (points * weights[:, None]).sum(axis=0) / weights.sum() + corner)
        long_axis, short_axis = axes(points)
        found.append(
            Candidate(
                heat.grid.native((z, y, x)), (z, y, x), region_score(values, inside), volume, float((6 * volume / np.pi) ** (1 / 3)),
                long_axis, short_axis, (corner[0], corner[1], corner[2]), inside,
            )
        )  # fmt: skip
    return sorted(found, key=lambda c: (-c.score, c.centre))


def region_score(values: Float, inside: Bools) -> float:
    """How sure the network is of a region: the mean of its surest 64 voxels."""
    best = np.sort(values[inside])[::-1][:SURE_VOXELS]
    return float(best.mean())


def solid_share(candidate: Candidate, heat: Heat, solid_hu: float) -> float:
    """Share of a region's voxels above ``solid_hu``, without its outer millimetre where enough is left."""
    core: Bools = ndimage.binary_erosion(np.pad(candidate.inside, 1))[1:-1, 1:-1, 1:-1]
    inner = core if core.sum() >= 8 else candidate.inside
    box = tuple(slice(a, a + n) for a, n in zip(candidate.corner, candidate.inside.shape, strict=True))
    return float((denormalise(heat.image[box][inner]) > solid_hu).mean())


def kind(share: float, thresholds: Mapping[str, float]) -> str:
    """Solid, part-solid or ground-glass, by the share of the region that is dense."""
    if share >= thresholds["solid_share"]:
        return "solid"
    return "part_solid" if share >= thresholds["glass_share"] else "ground_glass"


def native_mask(candidate: Candidate, heat: Heat, threshold: float, shape: tuple[int, ...]) -> Mask | None:
    """The region on the series' own voxels, whose (Z, Y, X) is ``shape``: where the interpolated heat is above the threshold."""
    low = [max(0, c - 2) for c in candidate.corner]
    box = tuple(slice(a, c + n + 2) for a, c, n in zip(low, candidate.corner, candidate.inside.shape, strict=True))
    values = heat.values[box].copy()
    own: Bools = np.zeros(values.shape, dtype=bool)
    own[tuple(slice(c - a, c - a + n) for a, c, n in zip(low, candidate.corner, candidate.inside.shape, strict=True))] = candidate.inside
    values[~own & (values > threshold)] = 0.0  # the neighbours' regions are theirs
    first, size = [], []
    for axis in range(3):
        start = heat.grid.origin[axis] + low[axis] * heat.grid.step[axis]
        end = start + (values.shape[axis] - 1) * heat.grid.step[axis]
        a, b = max(0, int(np.ceil(start))), min(shape[axis] - 1, int(np.floor(end)))
        first.append(a)
        size.append(max(1, b - a + 1))
    z, y, x = (i - a for i, a in zip(heat.grid.of_native((first[0], first[1], first[2])), low, strict=True))
    step = tuple(1.0 / s for s in heat.grid.step)
    fine = Grid((z, y, x), (step[0], step[1], step[2]), (size[0], size[1], size[2]))
    covered = resample(values, fine, smooth=False) > threshold
    middle = tuple(int(np.clip(round(c) - a, 0, n - 1)) for c, a, n in zip(candidate.centre, first, size, strict=True))
    if not covered.any():  # thinner than the slices are apart: the voxel it lies in
        covered[middle] = True
    packed = masks.pack_mask(covered)
    if packed is None:
        return None
    origin = tuple(o + a for o, a in zip(packed.origin, first, strict=True))
    return Mask((origin[0], origin[1], origin[2]), packed.shape, packed.bits)
