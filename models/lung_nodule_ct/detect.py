"""From a volume to candidates: lung field, 1 mm grid, sliding window, components of the heat map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from monai.inferers.utils import sliding_window_inference
from scipy.spatial import ConvexHull, QhullError
from torch import nn

from models.lung_nodule_ct import grid as grids
from models.lung_nodule_ct.grid import STEP_MM, Float, Grid, Index, Spacing
from models.lung_nodule_ct.lungs import LungField, lung_field
from models.lung_nodule_ct.nd import ndimage

WINDOW = 96
OVERLAP = 0.25
MARGIN_MM = 8.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One connected region of the heat map.

    ``centre``: native (z, y, x) index; ``score``: 0..1, not a probability; ``volume_mm3`` of the region above the
    heat threshold, ``diameter_mm`` of the sphere of equal volume, ``long_axis_mm`` the longest line in an axial plane.
    """

    centre: Index
    score: float
    volume_mm3: float
    diameter_mm: float
    long_axis_mm: float


@dataclass(frozen=True, slots=True)
class Heat:
    """The network's answer 0..1 (float32, (Z, Y, X)) on ``grid``, zero outside the lung field."""

    values: Float
    grid: Grid
    lungs: LungField


def heat_map(
    network: nn.Module, hu: npt.NDArray[np.int16], spacing_mm: Spacing, device: str, tick: Callable[[], None] | None = None
) -> Heat | None:
    """As ``heat_in``, in the lung field of ``hu``; None where there is none."""
    lungs = lung_field(hu, spacing_mm)
    return None if lungs is None else heat_in(lungs, network, hu, spacing_mm, device, tick)


def heat_in(
    lungs: LungField,
    network: nn.Module,
    hu: npt.NDArray[np.int16],
    spacing_mm: Spacing,
    device: str,
    tick: Callable[[], None] | None = None,
) -> Heat:
    """Run the network over the box around the lungs. ``tick`` is called before every batch of windows."""
    low, high = lungs.box(hu.shape, MARGIN_MM)
    grid = grids.over(low, high, spacing_mm)
    field = lungs.on(lungs.field, grid)
    values = torch.from_numpy(np.stack([grids.normalise(grids.resample(hu, grid)), field.astype(np.float32)]))[None]
    fast = device == "cuda"

    def window(part: torch.Tensor) -> torch.Tensor:
        """Heat of (N, 2, ...) windows: the image, and beside it the lung field, so that windows without lung cost nothing."""
        if tick is not None:
            tick()
        heat = torch.zeros_like(part[:, :1])
        lung = part[:, 1].flatten(1).any(dim=1)
        if bool(lung.any()):
            with torch.autocast("cuda", dtype=torch.float16, enabled=fast):
                heat[lung] = torch.sigmoid(network(part[lung, :1].to(device)).float()).cpu()
        return heat

    with torch.inference_mode():
        heat = sliding_window_inference(
            values, (WINDOW, WINDOW, WINDOW), 8 if fast else 1, window, overlap=OVERLAP, mode="gaussian", padding_mode="replicate"
        )
    result: Float = heat[0, 0].numpy() * field  # type: ignore[call-overload]
    return Heat(result, grid, lungs)


def _long_axis(points: npt.NDArray[np.intp]) -> float:
    """Longest in-plane extent over all axial planes of a region's voxels (n, 3), mm; a voxel counts with its width."""
    longest = 0.0
    for z in np.unique(points[:, 0]):
        plane = points[points[:, 0] == z][:, 1:].astype(np.float64)
        if len(plane) > 8:
            try:
                plane = plane[ConvexHull(plane).vertices]
            except QhullError:  # all on one line: few enough to compare each with each
                plane = np.stack([plane.min(axis=0), plane.max(axis=0)])
        apart = np.linalg.norm(plane[:, None] - plane[None], axis=-1).max() if len(plane) else 0.0
        longest = max(longest, float(apart))
    return (longest + 1.0) * STEP_MM


def candidates(heat: Heat, thresholds: Mapping[str, float]) -> list[Candidate]:
    """Regions above ``thresholds["heat"]`` of at least ``thresholds["volume_mm3"]`` and ``thresholds["score"]``, best first."""
    labels, _ = ndimage.label(heat.values > thresholds["heat"])
    found = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == index
        volume = float(inside.sum()) * STEP_MM**3
        if volume < thresholds["volume_mm3"]:
            continue
        values = heat.values[box] * inside
        score = region_score(values, inside)
        if score < thresholds["score"]:
            continue
        points = np.argwhere(inside)
        weights = values[inside]
        centre = (points * weights[:, None]).sum(axis=0) / weights.sum() + [s.start for s in box]
        found.append(
            Candidate(
                heat.grid.native((float(centre[0]), float(centre[1]), float(centre[2]))),
                score,
                volume,
                float((6 * volume / np.pi) ** (1 / 3)),
                _long_axis(points),
            )
        )
    return sorted(found, key=lambda c: (-c.score, c.centre))


def region_score(values: Float, inside: npt.NDArray[np.bool_]) -> float:
    """How sure the network is of a region: the mean of its surest 64 voxels (a ball of 5 mm)."""
    best = np.sort(values[inside])[::-1][:64]
    return float(best.mean())
