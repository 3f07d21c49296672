"""A real series prepared for synthetic nodules: its lungs, the regions to avoid, and where nodules may lie."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from core.errors import NotAnalysable
from imaging.ndimage import ndimage
from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Float, Index, ResamplingGrid, Spacing
from models.ct.lung_field import LungField, Mask, block_means, lung_field
from training.lung_nodule_ct.series.large_airways import large_airways
from training.lung_nodule_ct.series.reviewed_regions import ANATOMY
from training.lung_nodule_ct.series.suspicious_regions import SuspiciousRegions, find_suspicious_regions
from training.lung_nodule_ct.synthesis.synthetic_nodules import KINDS, SyntheticNodule
from training.lung_nodule_ct.synthesis.tissue_noise import NoiseBank, Rng

PLACES = ("isolated", "pleural", "vessel")
PLACE_SHARES = (0.4, 0.35, 0.25)
FROM_AIRWAYS_MM = 10.0  # from trachea, main and lobar bronchi to the edge of a nodule: nearer are their walls and the vessels of the hilum
FROM_SUSPICIOUS_MM = 6.0  # from regions that may be nodules to the edge of a nodule


@dataclass(frozen=True, slots=True)
class TrainingSeries:
    """``hu`` (Z, Y, X) native, and maps of places on two grids.

    On the lung field's coarse grid: ``inner_mm`` distance to the outside of the field, ``vessel`` dense voxels inside, ``vessel_mm``
    distance to them, ``airway_mm`` distance to trachea, main and lobar bronchi. On ``grid`` (1 mm): ``real`` suspicious regions,
    ``away_mm`` distance to them.
    """

    name: str
    hu: npt.NDArray[np.int16]
    spacing_mm: Spacing
    lungs: LungField
    grid: ResamplingGrid
    real: SuspiciousRegions
    inner_mm: Float
    vessel: Mask
    vessel_mm: Float
    airway_mm: Float
    away_mm: Float
    noise: NoiseBank

    def to_native(self, coarse: npt.NDArray[np.float64]) -> Index:
        """Native index of a coarse index."""
        z, y, x = ((c + 0.5) * f - 0.5 for c, f in zip(coarse, self.lungs.factor, strict=True))
        return float(z), float(y), float(x)

    def direction_to_wall(self, coarse: npt.NDArray[np.intp]) -> Index:
        """Direction in mm from a coarse voxel to the nearest wall (not normalised); along z where the gradient vanishes."""
        low = np.maximum(coarse - 2, 0)
        part = self.inner_mm[tuple(slice(a, c + 3) for a, c in zip(low, coarse, strict=True))]
        if min(part.shape) < 2:
            return 1.0, 0.0, 0.0
        z, y, x = (-float(g.mean()) / s for g, s in zip(np.gradient(part), self.lungs.spacing_mm, strict=True))
        return (z, y, x) if abs(z) + abs(y) + abs(x) > 1e-3 else (1.0, 0.0, 0.0)

    def distance_to_suspicious(self, at: Index) -> float:
        """Distance in mm of a native index to the nearest suspicious region."""
        near = tuple(int(np.clip(round(i), 0, n - 1)) for i, n in zip(self.grid.from_native(at), self.away_mm.shape, strict=True))
        return float(self.away_mm[near])


def prepare_series(name: str, hu: npt.NDArray[np.int16], spacing_mm: Spacing, seed: int) -> TrainingSeries:
    """Prepare a real series. Raises NotAnalysable where no lung field is found."""
    lungs = lung_field(hu, spacing_mm)
    if lungs is None:
        raise NotAnalysable("no lung field was found", hint="train on chest CT series only")
    low, high = lungs.native_box(hu.shape, 4.0)
    grid = grids.grid_over_box(low, high, spacing_mm)
    real = find_suspicious_regions(hu, lungs, grid, ANATOMY.get(name, ()))
    inner = ndimage.distance_transform_edt(lungs.field, sampling=lungs.spacing_mm).astype(np.float32)
    vessel = cast(Mask, lungs.field & ~lungs.air & (inner > 5.0))
    near = ndimage.distance_transform_edt(~vessel, sampling=lungs.spacing_mm).astype(np.float32)
    away = ndimage.distance_transform_edt(~real.mask).astype(np.float32)
    airways = large_airways(block_means(hu, lungs.factor), lungs)
    airway = ndimage.distance_transform_edt(~airways, sampling=lungs.spacing_mm) if airways.any() else np.full(airways.shape, np.inf)
    noise = NoiseBank(hu, spacing_mm, np.random.default_rng([seed, 7]))
    return TrainingSeries(name, hu, spacing_mm, lungs, grid, real, inner, vessel, near, airway.astype(np.float32), away, noise)


def draw_diameter(rng: Rng, low: float = 4.0, high: float = 30.0) -> float:
    """Log-uniform with more weight on 5 to 15 mm."""
    if rng.random() < 0.6 and low < 15.0 and high > 5.0:
        low, high = max(low, 5.0), min(high, 15.0)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_kind(rng: Rng) -> str:
    """Solid with probability 0.6, part-solid and ground-glass with 0.2 each."""
    return str(rng.choice(KINDS, p=[0.6, 0.2, 0.2]))


def draw_site(series: TrainingSeries, rng: Rng, diameter_mm: float, place: str) -> Index | None:
    """A native (z, y, x) for a nodule, at least FROM_SUSPICIOUS_MM from suspicious regions and FROM_AIRWAYS_MM from large airways.

    None where 30 random places are not.
    """
    radius = diameter_mm / 2
    inner, air = series.inner_mm, series.lungs.air
    if place == "pleural":
        allowed = air & (inner > 0.05 * radius) & (inner < max(0.8 * radius, 3.0))
    elif place == "vessel":
        allowed = air & (series.vessel_mm < radius + 1.0) & (inner > radius + 2.0)
    else:
        allowed = air & (inner > radius + 3.0)
    places = np.argwhere(allowed & (series.airway_mm > radius + FROM_AIRWAYS_MM))
    if len(places) == 0:
        return None
    for _ in range(30):
        coarse = places[int(rng.integers(len(places)))] + rng.uniform(-0.5, 0.5, 3)
        at = series.to_native(coarse)
        if series.distance_to_suspicious(at) > radius + FROM_SUSPICIOUS_MM:
            return at
    return None


def draw_nodule(
    series: TrainingSeries, rng: Rng, low: float = 4.0, high: float = 30.0, shares: tuple[float, float, float] = PLACE_SHARES
) -> SyntheticNodule | None:
    """A random nodule at a random place; ``shares``: probabilities of PLACES. None where no place was found."""
    diameter, kind = draw_diameter(rng, low, high), draw_kind(rng)
    place = str(rng.choice(PLACES, p=shares))
    at = draw_site(series, rng, diameter, place)
    return None if at is None else SyntheticNodule(at, diameter, kind, place)
