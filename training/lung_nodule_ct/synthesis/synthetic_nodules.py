"""Synthetic lung nodules: shape, density, edge and noise, inserted in HU at the series' own resolution.

A nodule is an occupancy (0..1 per native voxel, with partial volume) and a density. Solid tissue replaces lung, with noise cut from the
soft tissue of the same series; a denser vessel or wall inside stays. Ground glass is a fainter tissue through which vessels show.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Float, Index, Spacing
from training.lung_nodule_ct.synthesis.tissue_noise import NoiseBank, Rng

FINE_MM = 0.5
KINDS = ("solid", "part_solid", "ground_glass")


@dataclass(frozen=True, slots=True)
class SyntheticNodule:
    """One nodule to insert: native ``centre`` (z, y, x), ``diameter_mm`` of the sphere of equal volume, density ``kind`` and ``place``."""

    centre: Index
    diameter_mm: float
    kind: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class NoduleAppearance:
    """HU of a nodule's tissue and core, the core's share of the diameter, edge blur in mm, unevenness 0..1, number of spicules."""

    tissue_hu: float
    core_hu: float
    core_share: float
    edge_mm: float
    uneven: float
    spicules: int


def draw_appearance(rng: Rng, kind: str) -> NoduleAppearance:
    """A random appearance for a kind of nodule."""
    core = float(rng.uniform(-60, 130)) if rng.random() < 0.9 else float(rng.uniform(150, 450))  # one of ten is calcified
    edge, uneven = float(rng.uniform(0.3, 1.2)), float(rng.uniform(0.0, 0.28))
    spicules = int(rng.integers(3, 9)) if rng.random() < 0.2 else 0
    if kind == "solid":
        return NoduleAppearance(core, core, 0.0, edge, uneven, spicules)
    glass = float(rng.uniform(-680, -420))
    share = float(rng.uniform(0.35, 0.65)) if kind == "part_solid" else 0.0
    return NoduleAppearance(glass, min(core, 80.0), share, edge + 0.4, uneven, 0)


def _radius(rng: Rng, unit: Float, uneven: float, spicules: int) -> Float:
    """Relative radius along unit directions (..., 3): an ellipsoid with low-frequency waves and spicules."""
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


def occupancy(
    rng: Rng, diameter_mm: float, spacing_mm: Spacing, offset: Index, appearance: NoduleAppearance
) -> tuple[Float, Float, tuple[int, int, int]]:
    """A nodule on native voxels.

    Parameters
    ----------
    diameter_mm : of the sphere of equal volume.
    offset : position of the centre relative to the centre of the middle voxel, in native voxels.

    Returns
    -------
    whole, core : (Z, Y, X) float32 in 0..1, share of each native voxel.
    middle : index of the middle voxel in them.
    """
    reach = diameter_mm * 0.5 * (2.1 if appearance.spicules else 1.6) + 3 * appearance.edge_mm + 1.0
    half = [int(np.ceil(reach / s)) for s in spacing_mm]
    fine = [max(1, int(np.ceil(s / FINE_MM))) for s in spacing_mm]
    axes = [((np.arange((2 * h + 1) * f) + 0.5) / f - 0.5 - h - o) * s for h, f, o, s in zip(half, fine, offset, spacing_mm, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    distance = np.linalg.norm(points, axis=-1)
    unit = points / np.maximum(distance, 1e-3)[..., None]
    relative = _radius(rng, unit, appearance.uneven, appearance.spicules)
    cell = float(np.prod([s / f for s, f in zip(spacing_mm, fine, strict=True)]))
    target = np.pi / 6 * diameter_mm**3
    scale = diameter_mm / 2
    for _ in range(4):  # scale the shape to the requested volume
        volume = float(np.clip((relative * scale - distance) / FINE_MM + 0.5, 0, 1).sum()) * cell
        scale *= (target / max(volume, cell)) ** (1 / 3)
    sigma = [appearance.edge_mm * f / s for f, s in zip(fine, spacing_mm, strict=True)]

    def native(part: Float) -> Float:
        soft = ndimage.gaussian_filter(part, sigma, mode="constant", truncate=3.0)
        shape = [n for h, f in zip(half, fine, strict=True) for n in (2 * h + 1, f)]
        mean: Float = soft.reshape(shape).mean(axis=(1, 3, 5))
        return mean

    whole = native(np.clip((relative * scale - distance) / FINE_MM + 0.5, 0, 1).astype(np.float32))
    core = np.zeros_like(whole)
    if appearance.core_share > 0:
        shift = rng.uniform(-0.2, 0.2, 3).astype(np.float32) * scale
        inner = np.linalg.norm(points - shift, axis=-1)
        core = native(np.clip((relative * scale * appearance.core_share - inner) / FINE_MM + 0.5, 0, 1).astype(np.float32))
    return whole, np.minimum(core, whole), (half[0], half[1], half[2])


def insert_nodule(
    hu: npt.NDArray[np.int16],
    occupied: Float,
    spacing_mm: Spacing,
    rng: Rng,
    noise: NoiseBank,
    nodule: SyntheticNodule,
    appearance: NoduleAppearance | None = None,
) -> None:
    """Insert one nodule into ``hu`` (Z, Y, X) and its occupancy into ``occupied`` (same shape), both in place."""
    appearance = appearance or draw_appearance(rng, nodule.kind)
    near = [round(c) for c in nodule.centre]
    offset = (nodule.centre[0] - near[0], nodule.centre[1] - near[1], nodule.centre[2] - near[2])
    whole, core, middle = occupancy(rng, nodule.diameter_mm, spacing_mm, offset, appearance)
    inside, part = [], []
    for n, m, c, k in zip(hu.shape, middle, near, whole.shape, strict=True):
        low, high = max(0, c - m), min(n, c - m + k)
        inside.append(slice(low, high))
        part.append(slice(low - (c - m), high - (c - m)))
    where, cut = tuple(inside), tuple(part)
    whole, core = whole[cut], core[cut]
    old = hu[where].astype(np.float32)
    grain = noise.cut(rng, whole.shape)
    glass = 1.0 if nodule.kind == "solid" else float(rng.uniform(0.5, 1.0))  # less dense tissue has less noise
    tissue = appearance.tissue_hu + grain * glass
    if nodule.kind != "solid":
        tissue = tissue + ndimage.gaussian_filter(rng.normal(size=whole.shape), [1.5 / s for s in spacing_mm]) * 120
    mixed = (1 - whole) * old + whole * tissue
    mixed = (1 - core) * mixed + core * (appearance.core_hu + grain)
    smooth = ndimage.gaussian_filter(old, [0.7 / s for s in spacing_mm])
    dense = np.clip((smooth - (appearance.tissue_hu - 120)) / 120, 0, 1)  # 1 where a vessel or the wall is already as dense
    dense = np.where(core > 0.5, np.clip((smooth - (appearance.core_hu - 120)) / 120, 0, 1), dense)
    hu[where] = np.clip(np.round(dense * old + (1 - dense) * mixed), -1024, 3071).astype(np.int16)
    occupied[where] = np.maximum(occupied[where], whole)
