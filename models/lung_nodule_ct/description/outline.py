"""Outlines a candidate by its density: the heat finds a nodule, its edge in the image says how large it is."""

from dataclasses import replace

import numpy as np

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import STEP_MM, denormalise
from models.lung_nodule_ct.candidates import Bools, NoduleCandidate, axial_axes
from models.lung_nodule_ct.heat import NoduleHeat

LUNG_HU = -850.0  # lung around a nodule
DENSE_PERCENTILE = 90.0  # of the region's HU: what the nodule has inside, beside the partial volume of its edge
LEVEL = 0.45  # of the way from lung to the inside of the nodule; fitted to readers' masks
REACH = 2  # voxels of 1 mm that the edge may lie outside of the heat's region
LEAST_CONTRAST_HU = 100.0
OPENED_FROM = 200  # voxels; smaller outlines would vanish where vessels are cut off


def outline_by_density(candidate: NoduleCandidate, heat: NoduleHeat, level: float = LEVEL) -> NoduleCandidate:
    """The candidate with the region, volume, diameter and axes of its outline; the centre and the score stay.

    The outline is where the density has risen to ``level`` of the way from lung to the inside of the nodule, at most `REACH` voxels outside
    of the region of the heat. An opening by one voxel cuts off vessels. A region without contrast stays as it is.
    """
    low = tuple(max(0, start - REACH) for start in candidate.corner)
    ends = (start + size + REACH for start, size in zip(candidate.corner, candidate.inside.shape, strict=True))
    high = tuple(min(edge, end) for edge, end in zip(heat.image.shape, ends, strict=True))
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    region: Bools = np.zeros([b - a for a, b in zip(low, high, strict=True)], dtype=bool)
    region[tuple(slice(c - a, c - a + n) for a, c, n in zip(low, candidate.corner, candidate.inside.shape, strict=True))] = candidate.inside
    hu = denormalise(heat.image[box])
    inside_hu = float(np.percentile(hu[region], DENSE_PERCENTILE))
    if inside_hu - LUNG_HU < LEAST_CONTRAST_HU:
        return candidate
    dense: Bools = (hu > LUNG_HU + level * (inside_hu - LUNG_HU)) & (ndimage.distance_transform_edt(~region) <= REACH)
    if dense.sum() > OPENED_FROM:
        dense = ndimage.binary_opening(dense)
    labels, _ = ndimage.label(dense)
    shared = np.bincount(labels[region & dense])
    if len(shared) == 0:
        return candidate
    return _with_region(candidate, labels == int(shared.argmax()), (low[0], low[1], low[2]))


def _with_region(candidate: NoduleCandidate, outline: Bools, low: tuple[int, int, int]) -> NoduleCandidate:
    points = np.argwhere(outline)
    first, last = points.min(axis=0), points.max(axis=0)
    volume = float(len(points)) * STEP_MM**3
    long_axis, short_axis = axial_axes(points)
    return replace(
        candidate,
        volume_mm3=volume,
        diameter_mm=float((6 * volume / np.pi) ** (1 / 3)),
        long_axis_mm=long_axis,
        short_axis_mm=short_axis,
        corner=(low[0] + int(first[0]), low[1] + int(first[1]), low[2] + int(first[2])),
        inside=outline[tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))],
    )
