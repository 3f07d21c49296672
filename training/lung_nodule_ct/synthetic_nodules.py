"""Synthetic lung nodules: shape, density, edge and noise, inserted in HU at the series' own resolution.

A nodule is an occupancy (0..1 per native voxel, partial volume included) and a density. Solid tissue replaces lung
(a vessel or the wall inside stays, whichever is denser), with noise cut from the soft tissue of the same series;
ground glass is a fainter tissue through which vessels show.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.ct.isotropic_grid import Float, Index, Spacing
from models.ct.ndimage import ndimage

Rng = np.random.Generator
FINE_MM = 0.5
KINDS = ("solid", "part_solid", "ground_glass")


@dataclass(frozen=True, slots=True)
class Nodule:
    """One inserted nodule: native ``centre`` (z, y, x), ``diameter_mm`` of equal volume, what and where it is."""

    centre: Index
    diameter_mm: float
    kind: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How a nodule looks: HU of its tissue and of its core, edge blur in mm, unevenness 0..1, spicules."""

    tissue_hu: float
    core_hu: float
    core_share: float
    edge_mm: float
    uneven: float
    spicules: int


def draw_look(rng: Rng, kind: str) -> Look:
    """A random look for a kind of nodule."""
    core = float(rng.uniform(-60, 130)) if rng.random() < 0.9 else float(rng.uniform(150, 450))  # now and then calcified
    edge, uneven = float(rng.uniform(0.3, 1.2)), float(rng.uniform(0.0, 0.28))
    spicules = int(rng.integers(3, 9)) if rng.random() < 0.2 else 0
    if kind == "solid":
        return Look(core, core, 0.0, edge, uneven, spicules)
    glass = float(rng.uniform(-680, -420))
    share = float(rng.uniform(0.35, 0.65)) if kind == "part_solid" else 0.0
    return Look(glass, min(core, 80.0), share, edge + 0.4, uneven, 0)


def _radius(rng: Rng, unit: Float, uneven: float, spicules: int) -> Float:
    """Relative radius along unit directions (..., 3): an ellipsoid, low-frequency waves, spicules."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    axes = np.exp(rng.uniform(-0.22, 0.22, 3)).astype(np.float32) if uneven > 0 else np.ones(3, np.float32)
    radius: Float = 1.0 / np.sqrt((((unit @ turn) / axes) ** 2).sum(-1))
    for _ in range(6):
        wave = rng.normal(size=3) * rng.uniform(1.0, 3.5)
        radius = radius * (1 + uneven * 0.5 * np.cos(unit @ wave.astype(np.float32) + np.float32(rng.uniform(0, 6.3))))
    for _ in range(spicules):
        lobe = rng.normal(size=3)
        along = np.clip(unit @ (lobe / np.linalg.norm(lobe)).astype(np.float32), 0, 1)
        radius = radius + np.float32(rng.uniform(0.2, 0.7)) * along**40
    return radius.astype(np.float32)


def occupancy(rng: Rng, diameter_mm: float, spacing_mm: Spacing, offset: Index, look: Look) -> tuple[Float, Float, tuple[int, int, int]]:
    """A nodule on native voxels.

    Parameters
    ----------
    diameter_mm : of the sphere of equal volume.
    offset : where the centre lies from the centre of the middle voxel, in native voxels.

    Returns
    -------
    whole, core : (Z, Y, X) float32 in 0..1, share of each native voxel.
    middle : index of the middle voxel in them.
    """
    reach = diameter_mm * 0.5 * (2.1 if look.spicules else 1.6) + 3 * look.edge_mm + 1.0
    half = [int(np.ceil(reach / s)) for s in spacing_mm]
    fine = [max(1, int(np.ceil(s / FINE_MM))) for s in spacing_mm]
    axes = [((np.arange((2 * h + 1) * f) + 0.5) / f - 0.5 - h - o) * s for h, f, o, s in zip(half, fine, offset, spacing_mm, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    distance = np.linalg.norm(points, axis=-1)
    unit = points / np.maximum(distance, 1e-3)[..., None]
    relative = _radius(rng, unit, look.uneven, look.spicules)
    cell = float(np.prod([s / f for s, f in zip(spacing_mm, fine, strict=True)]))
    target = np.pi / 6 * diameter_mm**3
    scale = diameter_mm / 2
    for _ in range(4):  # the volume asked for, whatever the shape
        volume = float(np.clip((relative * scale - distance) / FINE_MM + 0.5, 0, 1).sum()) * cell
        scale *= (target / max(volume, cell)) ** (1 / 3)
    sigma = [look.edge_mm * f / s for f, s in zip(fine, spacing_mm, strict=True)]

    def native(part: Float) -> Float:
        soft = ndimage.gaussian_filter(part, sigma, mode="constant", truncate=3.0)
        shape = [n for h, f in zip(half, fine, strict=True) for n in (2 * h + 1, f)]
        mean: Float = soft.reshape(shape).mean(axis=(1, 3, 5))
        return mean

    whole = native(np.clip((relative * scale - distance) / FINE_MM + 0.5, 0, 1).astype(np.float32))
    core = np.zeros_like(whole)
    if look.core_share > 0:
        shift = rng.uniform(-0.2, 0.2, 3).astype(np.float32) * scale
        inner = np.linalg.norm(points - shift, axis=-1)
        core = native(np.clip((relative * scale * look.core_share - inner) / FINE_MM + 0.5, 0, 1).astype(np.float32))
    return whole, np.minimum(core, whole), (half[0], half[1], half[2])


class NoiseBank:
    """Blocks of noise from homogeneous soft tissue of a series, to give inserted tissue its grain."""

    def __init__(self, hu: npt.NDArray[np.int16], spacing_mm: Spacing, rng: Rng, blocks: int = 24, edge_mm: float = 26.0) -> None:
        size = [max(3, round(edge_mm / s)) for s in spacing_mm]
        self.blocks: list[Float] = []
        self.sigma_hu = 0.0
        found: list[tuple[float, Float]] = []
        for _ in range(4000):
            low = [int(rng.integers(0, max(1, n - k))) for n, k in zip(hu.shape, size, strict=True)]
            few = hu[low[0] : low[0] + size[0] : 2, low[1] : low[1] + size[1] : 4, low[2] : low[2] + size[2] : 4]
            if few.size == 0 or few.min() < -250 or few.max() > 400 or abs(float(few.mean()) - 40) > 120:
                continue
            block = hu[tuple(slice(a, a + k) for a, k in zip(low, size, strict=True))].astype(np.float32)
            if block.min() < -300 or block.max() > 500:
                continue
            block = block - ndimage.gaussian_filter(block, [4.0 / s for s in spacing_mm], mode="nearest")
            found.append((float(block.std()), block))
        found.sort(key=lambda pair: pair[0])
        self.blocks = [b for _, b in found[:blocks]]  # the flattest: no edges of organs in them
        if self.blocks:
            self.sigma_hu = float(np.mean([b.std() for b in self.blocks]))

    def cut(self, rng: Rng, shape: tuple[int, ...]) -> Float:
        """(Z, Y, X) of noise in HU; larger shapes repeat a block mirrored."""
        if not self.blocks:
            return rng.normal(0, 20, shape).astype(np.float32)
        block = self.blocks[int(rng.integers(len(self.blocks)))]
        short = [(0, max(0, n - k)) for n, k in zip(shape, block.shape, strict=True)]
        block = np.pad(block, short, mode="symmetric")
        start = [int(rng.integers(0, k - n + 1)) for n, k in zip(shape, block.shape, strict=True)]
        out: Float = block[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
        return out


def insert(
    hu: npt.NDArray[np.int16], occupied: Float, spacing_mm: Spacing, rng: Rng, noise: NoiseBank, nodule: Nodule, look: Look | None = None
) -> None:
    """Put one nodule into ``hu`` (Z, Y, X) and its share into ``occupied`` (same shape), both in place."""
    look = look or draw_look(rng, nodule.kind)
    near = [round(c) for c in nodule.centre]
    offset = (nodule.centre[0] - near[0], nodule.centre[1] - near[1], nodule.centre[2] - near[2])
    whole, core, middle = occupancy(rng, nodule.diameter_mm, spacing_mm, offset, look)
    inside, part = [], []
    for n, m, c, k in zip(hu.shape, middle, near, whole.shape, strict=True):
        low, high = max(0, c - m), min(n, c - m + k)
        inside.append(slice(low, high))
        part.append(slice(low - (c - m), high - (c - m)))
    where, cut = tuple(inside), tuple(part)
    whole, core = whole[cut], core[cut]
    old = hu[where].astype(np.float32)
    grain = noise.cut(rng, whole.shape)
    glass = 1.0 if nodule.kind == "solid" else float(rng.uniform(0.5, 1.0))  # less dense tissue is less even
    tissue = look.tissue_hu + grain * glass
    if nodule.kind != "solid":
        tissue = tissue + ndimage.gaussian_filter(rng.normal(size=whole.shape), [1.5 / s for s in spacing_mm]) * 120
    mixed = (1 - whole) * old + whole * tissue
    mixed = (1 - core) * mixed + core * (look.core_hu + grain)
    smooth = ndimage.gaussian_filter(old, [0.7 / s for s in spacing_mm])
    dense = np.clip((smooth - (look.tissue_hu - 120)) / 120, 0, 1)  # a vessel or the wall is there already
    dense = np.where(core > 0.5, np.clip((smooth - (look.core_hu - 120)) / 120, 0, 1), dense)
    hu[where] = np.clip(np.round(dense * old + (1 - dense) * mixed), -1024, 3071).astype(np.int16)
    occupied[where] = np.maximum(occupied[where], whole)
