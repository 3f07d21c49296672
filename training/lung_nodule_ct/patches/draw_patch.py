"""Draws one training patch of a series: (64, 64, 64) at 1 mm, HU and labels."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Float, Index
from training.lung_nodule_ct.series.training_series import TrainingSeries, draw_nodule
from training.lung_nodule_ct.synthesis.distractors import KINDS, Distractor, insert_distractor
from training.lung_nodule_ct.synthesis.synthetic_nodules import SyntheticNodule, insert_nodule
from training.lung_nodule_ct.synthesis.tissue_noise import Rng

Insert = Callable[[npt.NDArray[np.int16], Float, Index], None]  # draws a nodule into HU and occupancy at an index of theirs

EDGE = 64
BACKGROUND, NODULE, IGNORED = 0, 1, 2
SMALL_SHARE = 0.4  # of the nodules: 4 to 7 mm, which are missed most often
PLACE_SHARES = (0.3, 0.45, 0.25)  # as in training_series.PLACES: most at the pleura, where nodules are missed most often


def draw_patch(series: TrainingSeries, rng: Rng, positive: bool) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """One training patch with one or two nodules, or with none; often with a structure that is no nodule."""
    if not positive:
        if rng.random() < 0.5:
            return make_patch(series, rng, lung_centre(series, rng, dense=rng.random() < 0.75), [], [])
        distractor = draw_distractor(series, rng)
        return make_patch(series, rng, place_near(series, rng, distractor.centre, 16.0), [], [distractor])
    first = None
    while first is None:
        high = 7.0 if rng.random() < SMALL_SHARE else 30.0
        first = draw_nodule(series, rng, 4.0, high, PLACE_SHARES)
    centre = place_near(series, rng, first.centre, 20.0)
    distractors: list[Distractor] = []
    if rng.random() < 0.35:  # a vessel or a band beside the nodule or through it
        kind = str(rng.choice(("vessel", "airway", "band")))
        distractors.append(Distractor(place_near(series, rng, centre, 22.0), kind))
    nodules = [first]
    if rng.random() < 0.4:
        for _ in range(12):  # a second one only where it lies in this patch and at a distance from the first
            other = draw_nodule(series, rng, high=14.0, shares=PLACE_SHARES)
            if other is None:
                continue
            apart = np.subtract(other.centre, first.centre) * series.spacing_mm
            inside = np.abs(np.subtract(other.centre, centre) * series.spacing_mm).max() < EDGE / 2 - 4
            if inside and np.linalg.norm(apart) > (first.diameter_mm + other.diameter_mm) / 2 + 6:
                nodules.append(other)
                break
    return make_patch(series, rng, centre, [(n.centre, synthetic(series, rng, n)) for n in nodules], distractors)


def make_patch(
    series: TrainingSeries, rng: Rng, centre: Index, nodules: Sequence[tuple[Index, Insert]], distractors: Sequence[Distractor]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """One patch around a native index; nodules (each with its native centre) and distractors are inserted at native resolution."""
    margin = [(EDGE / 2 + 20) / s for s in series.spacing_mm]
    low = [max(0, int(c - m)) for c, m in zip(centre, margin, strict=True)]
    high = [min(n, int(c + m) + 2) for c, m, n in zip(centre, margin, series.hu.shape, strict=True)]
    hu = series.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].copy()
    local = (centre[0] - low[0], centre[1] - low[1], centre[2] - low[2])
    grid = grids.cube_grid(local, EDGE, series.spacing_mm)
    whole = grids.cube_grid(centre, EDGE, series.spacing_mm)
    label = np.zeros((EDGE, EDGE, EDGE), dtype=np.uint8)
    label[_suspicious_in_patch(series, whole)] = IGNORED
    field = series.lungs.on_grid(series.lungs.field, whole)
    for distractor in distractors:
        z, y, x = (c - a for c, a in zip(distractor.centre, low, strict=True))
        insert_distractor(hu, series.spacing_mm, rng, series.noise, Distractor((z, y, x), distractor.kind, distractor.normal))
    for nodule_centre, insert in nodules:
        z, y, x = (c - a for c, a in zip(nodule_centre, low, strict=True))
        if any(not 0 <= c < n for c, n in zip((z, y, x), hu.shape, strict=True)):
            continue
        occupied = np.zeros(hu.shape, dtype=np.float32)
        insert(hu, occupied, (z, y, x))
        share = grids.resample(occupied, grid, smooth=False)
        label[(share > 0.5 * min(1.0, float(share.max()) + 1e-6)) & (share > 0.1) & field] = NODULE
    return np.round(grids.resample(hu, grid)).astype(np.int16), label


def synthetic(series: TrainingSeries, rng: Rng, nodule: SyntheticNodule) -> Insert:
    """Draws a synthetic nodule."""

    def insert(hu: npt.NDArray[np.int16], occupied: Float, at: Index) -> None:
        moved = SyntheticNodule(at, nodule.diameter_mm, nodule.kind, nodule.place)
        insert_nodule(hu, occupied, series.spacing_mm, rng, series.noise, moved)

    return insert


def _suspicious_in_patch(series: TrainingSeries, patch: grids.ResamplingGrid) -> npt.NDArray[np.bool_]:
    """The suspicious regions of the series on the patch's grid; both grids have steps of 1 mm."""
    found = np.zeros((EDGE, EDGE, EDGE), dtype=bool)
    start = [round(v) for v in series.grid.from_native(patch.origin)]
    source, target = [], []
    for s, n in zip(start, series.real.mask.shape, strict=True):
        a, b = max(0, s), min(n, s + EDGE)
        source.append(slice(a, max(a, b)))
        target.append(slice(a - s, max(a, b) - s))
    found[tuple(target)] = series.real.mask[tuple(source)]
    return found


def lung_centre(series: TrainingSeries, rng: Rng, dense: bool) -> Index:
    """A native index in the lungs for a patch without nodules; ``dense``: near vessels, hilum or pleura."""
    allowed = series.vessel | (series.lungs.air & (series.inner_mm < 4.0)) if dense else series.lungs.air
    places = np.argwhere(allowed)
    return series.to_native(places[int(rng.integers(len(places)))].astype(np.float64))


def draw_distractor(series: TrainingSeries, rng: Rng) -> Distractor:
    """A random structure that is no nodule, in the lungs; plaques on the pleura."""
    kind = str(rng.choice(KINDS, p=[0.35, 0.15, 0.15, 0.2, 0.15]))
    allowed = series.lungs.air & (series.inner_mm < 3.0) if kind == "plaque" else series.lungs.air
    places = np.argwhere(allowed)
    coarse = places[int(rng.integers(len(places)))]
    return Distractor(series.to_native(coarse.astype(np.float64)), kind, series.direction_to_wall(coarse))


def place_near(series: TrainingSeries, rng: Rng, centre: Index, reach_mm: float) -> Index:
    """A random native index within ``reach_mm`` of ``centre`` along each axis."""
    z, y, x = np.asarray(centre) + rng.uniform(-reach_mm, reach_mm, 3) / series.spacing_mm
    return float(z), float(y), float(x)
