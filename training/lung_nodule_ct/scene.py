"""A real series made ready for synthetic nodules: lungs, what to keep away from, and places to put them."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from core.errors import NotAnalysable
from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Float, Grid, Index, Spacing
from models.ct.lung_field import LungField, Mask, lung_field
from models.ct.ndimage import ndimage
from training.lung_nodule_ct.reviewed_regions import ANATOMY
from training.lung_nodule_ct.suspicious_regions import Suspicious, suspicious
from training.lung_nodule_ct.synthetic_nodules import KINDS, Nodule, NoiseBank, Rng

PLACES = ("isolated", "pleural", "vessel")
PLACE_SHARES = (0.4, 0.35, 0.25)


@dataclass(frozen=True, slots=True)
class Scene:
    """``hu`` (Z, Y, X) native; ``inner_mm`` coarse distance to the outside of the lung field; ``vessel`` coarse
    dense voxels inside, ``vessel_mm`` the distance to them; ``away_mm`` distance to suspicious regions on ``grid`` (1 mm)."""

    name: str
    hu: npt.NDArray[np.int16]
    spacing_mm: Spacing
    lungs: LungField
    grid: Grid
    real: Suspicious
    inner_mm: Float
    vessel: Mask
    vessel_mm: Float
    away_mm: Float
    noise: NoiseBank

    def native(self, coarse: npt.NDArray[np.float64]) -> Index:
        """Native index of a coarse one."""
        z, y, x = ((c + 0.5) * f - 0.5 for c, f in zip(coarse, self.lungs.factor, strict=True))
        return float(z), float(y), float(x)

    def to_wall(self, coarse: npt.NDArray[np.intp]) -> Index:
        """Direction from a coarse voxel to the nearest wall, mm (not of length 1); along z where there is none."""
        low = np.maximum(coarse - 2, 0)
        part = self.inner_mm[tuple(slice(a, c + 3) for a, c in zip(low, coarse, strict=True))]
        if min(part.shape) < 2:
            return 1.0, 0.0, 0.0
        z, y, x = (-float(g.mean()) / s for g, s in zip(np.gradient(part), self.lungs.spacing_mm, strict=True))
        return (z, y, x) if abs(z) + abs(y) + abs(x) > 1e-3 else (1.0, 0.0, 0.0)

    def away(self, at: Index) -> float:
        """Distance of a native index to the nearest suspicious region, mm."""
        near = tuple(int(np.clip(round(i), 0, n - 1)) for i, n in zip(self.grid.of_native(at), self.away_mm.shape, strict=True))
        return float(self.away_mm[near])


def prepare(name: str, hu: npt.NDArray[np.int16], spacing_mm: Spacing, seed: int) -> Scene:
    """A scene of a real series. Raises NotAnalysable where no lung field is found."""
    lungs = lung_field(hu, spacing_mm)
    if lungs is None:
        raise NotAnalysable("no lung field was found", hint="train on chest CT series only")
    low, high = lungs.box(hu.shape, 4.0)
    grid = grids.over(low, high, spacing_mm)
    real = suspicious(hu, lungs, grid, ANATOMY.get(name, ()))
    inner = ndimage.distance_transform_edt(lungs.field, sampling=lungs.spacing_mm).astype(np.float32)
    vessel = cast(Mask, lungs.field & ~lungs.air & (inner > 5.0))
    near = ndimage.distance_transform_edt(~vessel, sampling=lungs.spacing_mm).astype(np.float32)
    away = ndimage.distance_transform_edt(~real.mask).astype(np.float32)
    noise = NoiseBank(hu, spacing_mm, np.random.default_rng([seed, 7]))
    return Scene(name, hu, spacing_mm, lungs, grid, real, inner, vessel, near, away, noise)


def draw_diameter(rng: Rng, low: float = 4.0, high: float = 30.0) -> float:
    """Log-uniform with more weight on 5 to 15 mm."""
    if rng.random() < 0.6 and low < 15.0 and high > 5.0:
        low, high = max(low, 5.0), min(high, 15.0)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_kind(rng: Rng) -> str:
    """Solid six times, part-solid and ground-glass two times of ten."""
    return str(rng.choice(KINDS, p=[0.6, 0.2, 0.2]))


def draw_site(scene: Scene, rng: Rng, diameter_mm: float, place: str, keep_mm: float = 6.0) -> Index | None:
    """A native (z, y, x) for a nodule, clear of everything suspicious; None where luck did not find one."""
    radius = diameter_mm / 2
    inner, air = scene.inner_mm, scene.lungs.air
    if place == "pleural":
        allowed = air & (inner > 0.05 * radius) & (inner < max(0.8 * radius, 3.0))
    elif place == "vessel":
        allowed = air & (scene.vessel_mm < radius + 1.0) & (inner > radius + 2.0)
    else:
        allowed = air & (inner > radius + 3.0)
    places = np.argwhere(allowed)
    if len(places) == 0:
        return None
    for _ in range(30):
        coarse = places[int(rng.integers(len(places)))] + rng.uniform(-0.5, 0.5, 3)
        at = scene.native(coarse)
        if scene.away(at) > radius + keep_mm:
            return at
    return None


def draw_nodule(
    scene: Scene, rng: Rng, low: float = 4.0, high: float = 30.0, shares: tuple[float, float, float] = PLACE_SHARES
) -> Nodule | None:
    """A random nodule at a random place of its sort; ``shares`` as in PLACES."""
    diameter, kind = draw_diameter(rng, low, high), draw_kind(rng)
    place = str(rng.choice(PLACES, p=shares))
    at = draw_site(scene, rng, diameter, place)
    return None if at is None else Nodule(at, diameter, kind, place)
