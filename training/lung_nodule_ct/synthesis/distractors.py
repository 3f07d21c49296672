"""Draws structures that are no nodules into a series as negatives: vessels, airways, bands, pleural plaques, consolidation.

The two training series contain few of these. Each structure is a share (0..1) of tissue on a local grid of 1 mm, resampled to native
voxels and mixed in HU with noise of the same series, as nodules are.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Float, Index, ResamplingGrid, Spacing, resample
from training.lung_nodule_ct.synthesis.tissue_noise import NoiseBank, Rng

KINDS = ("vessel", "airway", "band", "plaque", "consolidation")
EDGE = 56  # mm, of the local grid
AIR_HU = -950.0


@dataclass(frozen=True, slots=True)
class Distractor:
    """One structure: native ``centre`` (z, y, x), ``kind``, and for a plaque the direction to the wall in mm."""

    centre: Index
    kind: str
    normal: Index = (1.0, 0.0, 0.0)


def _points() -> Float:
    """(EDGE, EDGE, EDGE, 3) mm from the middle of the local grid, float32."""
    axis = np.arange(EDGE, dtype=np.float32) - (EDGE - 1) / 2
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).astype(np.float32)


def _path(rng: Rng, start: Float, heading: Float, pieces: int, piece_mm: float) -> Float:
    """(pieces + 1, 3) corners of a line that bends slightly at each."""
    places = [start]
    for _ in range(pieces):
        heading = heading + rng.normal(0, 0.35, 3).astype(np.float32)
        heading = heading / np.linalg.norm(heading)
        places.append(places[-1] + heading * np.float32(piece_mm))
    return np.stack(places)


def _tube(points: Float, path: Float, radii: Float) -> Float:
    """Signed distance (mm, negative inside) to a tube along ``path`` with the radius ``radii`` at its corners."""
    nearest: Float = np.full(points.shape[:-1], 1e3, dtype=np.float32)
    for a, b, ra, rb in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        along = b - a
        share = np.clip(((points - a) @ along) / np.float32(along @ along), 0, 1)
        distance = np.linalg.norm(points - a - share[..., None] * along, axis=-1)
        nearest = np.minimum(nearest, distance - (ra + (rb - ra) * share))
    return nearest


def _random_direction(rng: Rng) -> Float:
    direction = rng.normal(size=3).astype(np.float32)
    out: Float = direction / np.linalg.norm(direction)
    return out


def _lens(points: Float, normal: Float, half_mm: float, wide_mm: float) -> Float:
    """Approximate signed distance to a flat ellipsoid perpendicular to ``normal``."""
    through = points @ normal
    beside = np.sqrt(np.maximum((points**2).sum(-1) - through**2, 0))
    relative = np.sqrt((through / half_mm) ** 2 + (beside / wide_mm) ** 2)
    out: Float = ((relative - 1) * half_mm).astype(np.float32)
    return out


def tissue_shares(rng: Rng, kind: str, normal: Index) -> tuple[Float, Float]:
    """Share of tissue and of air (0..1, (EDGE, EDGE, EDGE)) of one structure on the local grid of 1 mm."""
    points = _points()
    air: Float = np.zeros(points.shape[:-1], dtype=np.float32)
    edge = float(rng.uniform(0.8, 1.4))

    def filled(distance: Float, width: float = edge) -> Float:
        out: Float = np.clip(0.5 - distance / (2 * width), 0, 1).astype(np.float32)
        return out

    if kind in ("vessel", "airway"):
        heading = _random_direction(rng)
        thick = float(rng.uniform(0.8, 3.2) if kind == "vessel" else rng.uniform(2.2, 4.5))
        path = _path(rng, -heading * np.float32(24), heading, 5, 10.0)
        radii = thick * np.linspace(1.15, 0.75, 6, dtype=np.float32)
        tube = _tube(points, path, radii)
        if rng.random() < 0.7:  # a branch, thinner towards its end
            fork = int(rng.integers(1, 4))
            twig = _path(rng, path[fork], _random_direction(rng), 3, 8.0)
            tube = np.minimum(tube, _tube(points, twig, thick * np.linspace(0.8, 0.25, 4, dtype=np.float32)))
        tissue = filled(tube)
        if kind == "airway":
            air = filled(tube + np.float32(rng.uniform(0.9, 1.6)), 0.6)
        return tissue, air
    if kind == "band":
        lens = _lens(points, _random_direction(rng), float(rng.uniform(0.8, 1.8)), float(rng.uniform(12, 26)))
        return filled(lens), air
    if kind == "plaque":
        towards = np.asarray(normal, dtype=np.float32)
        lens = _lens(points, towards / max(float(np.linalg.norm(towards)), 1e-3), float(rng.uniform(1.5, 4.0)), float(rng.uniform(9, 24)))
        return filled(lens), air
    waves: Float = ndimage.gaussian_filter(rng.standard_normal(air.shape, dtype=np.float32), 4.0)
    size = rng.uniform(12, 24, 3).astype(np.float32)
    relative = np.sqrt(((points / size) ** 2).sum(-1))
    body = (relative - 1) * np.float32(size.min()) + waves / max(float(waves.std()), 1e-6) * np.float32(rng.uniform(3, 6))
    heading = _random_direction(rng)
    bronchus = _tube(points, _path(rng, -heading * np.float32(22), heading, 4, 11.0), np.linspace(1.8, 0.9, 5, dtype=np.float32))
    return filled(body, float(rng.uniform(1.0, 3.5))), filled(bronchus, 0.6)


def insert_distractor(hu: npt.NDArray[np.int16], spacing_mm: Spacing, rng: Rng, noise: NoiseBank, distractor: Distractor) -> None:
    """Draw one structure into ``hu`` (Z, Y, X) in place; a denser wall or vessel stays."""
    tissue_mm, air_mm = tissue_shares(rng, distractor.kind, distractor.normal)
    low, size = [], []
    for c, s, n in zip(distractor.centre, spacing_mm, hu.shape, strict=True):
        half = (EDGE / 2 - 1) / s
        first, last = max(0, int(np.ceil(c - half))), min(n - 1, int(np.floor(c + half)))
        low.append(first)
        size.append(max(0, last - first + 1))
    if min(size) == 0:
        return
    where = tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))
    middle = (EDGE - 1) / 2
    first_at = [(a - c) * s + middle for a, c, s in zip(low, distractor.centre, spacing_mm, strict=True)]
    native = ResamplingGrid((first_at[0], first_at[1], first_at[2]), spacing_mm, (size[0], size[1], size[2]))
    tissue, air = resample(tissue_mm, native), resample(air_mm, native)
    old = hu[where].astype(np.float32)
    grain = noise.cut(rng, old.shape)
    level = float(rng.uniform(-250, 60)) if distractor.kind == "consolidation" else float(rng.uniform(-40, 90))
    dense = np.clip((ndimage.gaussian_filter(old, [0.7 / s for s in spacing_mm]) - (level - 120)) / 120, 0, 1)
    mixed = (1 - tissue) * old + tissue * (level + grain)
    mixed = dense * old + (1 - dense) * mixed
    mixed = (1 - air) * mixed + air * np.minimum(mixed, AIR_HU + grain)
    hu[where] = np.clip(np.round(mixed), -1024, 3071).astype(np.int16)
