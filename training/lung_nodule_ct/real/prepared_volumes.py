"""Prepares real volumes for pasted nodules: where nodules may lie, and which regions are neither nodule nor negative."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Index
from training.lung_nodule_ct.real.nodule_crops import RealNodule, fold_of
from training.lung_nodule_ct.real.paste import PastedNodule, paste_nodule
from training.lung_nodule_ct.real.reference_volumes import MarkedNodule, ReferenceVolume
from training.lung_nodule_ct.series.suspicious_regions import SuspiciousRegions
from training.lung_nodule_ct.series.training_series import FROM_AIRWAYS_MM, TrainingSeries, prepare_series
from training.lung_nodule_ct.synthesis.tissue_noise import Rng

KEEP_MM = 6.0  # from regions that may be nodules
APART_MM = 18.0  # of lung between two pasted nodules
DENSE_SHARE = 0.25  # of the surroundings: such nodules lie on the pleura or on a vessel


def prepare_volume(volume: ReferenceVolume, seed: int) -> TrainingSeries:
    """A volume as a training series. Where all nodules are marked, the marks alone are the regions to avoid; elsewhere also the rest."""
    series = prepare_series(volume.name, volume.hu, volume.spacing_mm, seed)
    mask = np.zeros_like(series.real.mask) if volume.fully_read else series.real.mask.copy()
    for nodule in volume.nodules:
        mask |= ball(series, nodule)
    away = ndimage.distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, 1e3)
    diameters = tuple(nodule.diameter_mm for nodule in volume.nodules)
    real = SuspiciousRegions(mask, series.real.grid, tuple(nodule.centre for nodule in volume.nodules), diameters)
    return replace(series, real=real, away_mm=away.astype(np.float32))


def ball(series: TrainingSeries, nodule: MarkedNodule) -> np.ndarray:
    """The ball around a mark, with a tenth more radius, on the series' grid of 1 mm."""
    z, y, x = (i[...] for i in np.ogrid[tuple(slice(n) for n in series.grid.shape)])
    c, b, a = series.grid.from_native(nodule.centre)
    inside: np.ndarray = (z - c) ** 2 + (y - b) ** 2 + (x - a) ** 2 <= (0.55 * nodule.diameter_mm) ** 2
    return inside


def paste_nodules(
    series: TrainingSeries, nodules: Sequence[RealNodule], rng: Rng, count: int
) -> tuple[np.ndarray, np.ndarray, list[PastedNodule]]:
    """A copy of the series with at most ``count`` of ``nodules``, in random order; HU, the share that is nodule, and the nodules."""
    hu, occupied = series.hu.copy(), np.zeros(series.hu.shape, np.float32)
    pasted: list[PastedNodule] = []
    air = np.argwhere(series.lungs.air)
    for index in rng.permutation(len(nodules)):
        if len(pasted) == count:
            break
        nodule = nodules[int(index)]
        place = draw_place(nodule, rng)
        at = draw_free_site(series, air, rng, nodule.diameter_mm, place)
        if at is None or any(
            np.linalg.norm(np.subtract(at, other.centre) * series.spacing_mm) < (nodule.diameter_mm + other.diameter_mm) / 2 + APART_MM
            for other in pasted
        ):
            continue
        paste_nodule(hu, occupied, series.spacing_mm, rng, nodule, at)
        pasted.append(PastedNodule(at, nodule.diameter_mm, nodule.kind, place, nodule.malignancy, fold_of(nodule.patient)))
    return hu, occupied, pasted


def draw_place(nodule: RealNodule, rng: Rng) -> str:
    """Where to paste: a nodule beside dense tissue on the pleura or on a vessel, another mostly free in the lung."""
    if nodule.dense_surroundings() > DENSE_SHARE:
        return str(rng.choice(("pleural", "vessel")))
    return str(rng.choice(("isolated", "pleural", "vessel"), p=(0.7, 0.1, 0.2)))


def draw_free_site(series: TrainingSeries, air: np.ndarray, rng: Rng, diameter_mm: float, place: str) -> Index | None:
    """As ``draw_site``, by trial among ``air``, the coarse (z, y, x) of all aerated voxels; None where 400 of them do not suit."""
    radius = diameter_mm / 2
    for _ in range(400):
        voxel = air[int(rng.integers(len(air)))]
        inner = float(series.inner_mm[tuple(voxel)])
        if place == "pleural":
            suits = 0.05 * radius < inner < max(0.8 * radius, 3.0)
        elif place == "vessel":
            suits = inner > radius + 2.0 and float(series.vessel_mm[tuple(voxel)]) < radius + 1.0
        else:
            suits = inner > radius + 3.0
        if suits and float(series.airway_mm[tuple(voxel)]) > radius + FROM_AIRWAYS_MM:
            at = series.to_native(voxel + rng.uniform(-0.5, 0.5, 3))
            if series.distance_to_suspicious(at) > radius + KEEP_MM:
                return at
    return None
