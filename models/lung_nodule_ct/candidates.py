"""Candidates in the first stage's heat: connected regions with their centre, score and axes; and which marks are of one nodule."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import STEP_MM, Float, Index
from models.lung_nodule_ct.heat import NoduleHeat

Bools = npt.NDArray[np.bool_]
SCORE_VOXELS = 64  # a ball of 5 mm
LEAST_REACH_MM = 5.0
FRAGMENT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class NoduleCandidate:
    """One connected region of the heat.

    ``centre``: native (z, y, x) index, ``place``: the same on the heat's grid; ``score``: 0..1, not a probability; ``volume_mm3`` of the
    region above the heat threshold; ``diameter_mm`` of the sphere of equal volume; ``long_axis_mm``, the longest line in an axial plane;
    ``short_axis_mm``, the largest extent across it in that plane. ``corner`` and ``inside``: the region's box on the grid.
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


def find_candidates(heat: NoduleHeat, thresholds: Mapping[str, float]) -> list[NoduleCandidate]:
    """Regions above ``thresholds["heat"]`` of at least ``thresholds["volume_mm3"]``, highest score first."""
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
        long_axis, short_axis = axial_axes(points)
        found.append(
            NoduleCandidate(
                heat.grid.to_native((z, y, x)), (z, y, x), region_score(values, inside), volume, float((6 * volume / np.pi) ** (1 / 3)),
                long_axis, short_axis, (corner[0], corner[1], corner[2]), inside,
            )
        )  # fmt: skip
    return sorted(found, key=lambda c: (-c.score, c.centre))


def region_score(values: Float, inside: Bools) -> float:
    """Score of a region: the mean of its 64 highest voxels."""
    highest = np.sort(values[inside])[::-1][:SCORE_VOXELS]
    return float(highest.mean())


def axial_axes(points: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Long and short axis in mm of a region's voxels (n, 3), in the axial plane with the longest line; a voxel counts with its width."""
    long_axis, short_axis = 0.0, 0.0
    for z in np.unique(points[:, 0]):
        plane = points[points[:, 0] == z][:, 1:].astype(np.float64)
        if len(plane) > 8:
            try:
                plane = plane[ConvexHull(plane).vertices]
            except QhullError:  # all voxels on one line: its two ends are enough
                plane = np.stack([plane.min(axis=0), plane.max(axis=0)])
        distances = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
        longest = float(distances.max())
        if longest < long_axis or (longest == long_axis and long_axis > 0):
            continue
        long_axis, short_axis = longest, 0.0
        if longest > 0:
            a, b = np.unravel_index(int(distances.argmax()), distances.shape)
            direction = (plane[b] - plane[a]) / longest
            across = plane @ np.array([-direction[1], direction[0]])
            short_axis = float(across.max() - across.min())
    return (long_axis + 1.0) * STEP_MM, (short_axis + 1.0) * STEP_MM


@dataclass(frozen=True, slots=True)
class ScoredPlace:
    """A region by its centre (z, y, x) in mm, the diameter of the sphere of its volume, and its score 0..1."""

    place_mm: Index
    diameter_mm: float
    score: float


def one_per_nodule(marks: Sequence[ScoredPlace]) -> list[int]:
    """The indexes of the marks that are reported, highest score first."""
    kept: list[int] = []
    for index in sorted(range(len(marks)), key=lambda one: (-marks[one].score, marks[one].place_mm)):
        if not any(is_further_mark(marks[index], marks[other]) for other in kept):
            kept.append(index)
    return kept


def is_further_mark(mark: ScoredPlace, stronger: ScoredPlace) -> bool:
    """Whether ``mark`` is on the nodule of a ``stronger`` mark.

    Its centre is within the radius of that nodule, at least 5 mm. Or it is a fragment: within the diameter, because the first stage sees
    only the middle of a large mass, and with less than a tenth of the score, so that a second nodule beside a mass is still reported.
    """
    distance = math.dist(mark.place_mm, stronger.place_mm)
    if distance <= max(stronger.diameter_mm / 2, LEAST_REACH_MM):
        return True
    return distance <= stronger.diameter_mm and mark.score < FRAGMENT_SHARE * stronger.score
