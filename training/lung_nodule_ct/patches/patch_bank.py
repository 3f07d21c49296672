"""A cached bank of training patches: (N, 64, 64, 64) at 1 mm, HU as int16 and labels as uint8, in plain .npy files."""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Index
from training.lung_nodule_ct.series.training_series import TrainingSeries, draw_nodule
from training.lung_nodule_ct.synthesis.distractors import KINDS, Distractor, insert_distractor
from training.lung_nodule_ct.synthesis.synthetic_nodules import SyntheticNodule, insert_nodule
from training.lung_nodule_ct.synthesis.tissue_noise import Rng

EDGE = 64
BACKGROUND, NODULE, IGNORED = 0, 1, 2
POSITIVE_SHARE = 0.6
SMALL_SHARE = 0.4  # of the nodules: 4 to 7 mm, which are missed most often
PLACE_SHARES = (0.3, 0.45, 0.25)  # as in training_series.PLACES: most at the pleura, where nodules are missed most often
BANK_VERSION = 2


@dataclass(frozen=True, slots=True)
class PatchBank:
    """``hu`` int16 and ``label`` uint8: for each series a memory map (size, 64, 64, 64); ``positive`` (series * size,) bool."""

    hu: tuple[npt.NDArray[np.int16], ...]
    label: tuple[npt.NDArray[np.uint8], ...]
    positive: npt.NDArray[np.bool_]
    size: int

    def patch(self, index: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
        """HU and labels (64, 64, 64) of one patch."""
        part, at = divmod(index, self.size)
        return self.hu[part][at], self.label[part][at]


def build_bank(
    series: Sequence[TrainingSeries], folder: Path, *, seed: int, size: int, progress: Callable[[str], None] = print
) -> PatchBank:
    """Draw ``size`` patches of each series into a folder of its own, or open those that are there already.

    The patches of a series do not depend on the other series, so that trainings which leave a series out share the banks.
    """
    parts = [_series_patches(one, folder / one.name, seed, size, progress) for one in series]
    positive = np.array([bool((label[i] == NODULE).any()) for _, label in parts for i in range(size)])
    return PatchBank(tuple(hu for hu, _ in parts), tuple(label for _, label in parts), positive, size)


def _series_patches(
    series: TrainingSeries, folder: Path, seed: int, size: int, progress: Callable[[str], None]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"version": BANK_VERSION, "seed": seed, "size": size, "series": series.name}
    note = folder / "bank.json"
    if not note.exists() or json.loads(note.read_text()) != wanted:
        note.unlink(missing_ok=True)
        shape = (size, EDGE, EDGE, EDGE)
        hu = np.lib.format.open_memmap(folder / "hu.npy", mode="w+", dtype=np.int16, shape=shape)
        label = np.lib.format.open_memmap(folder / "label.npy", mode="w+", dtype=np.uint8, shape=shape)
        for i in range(size):
            rng = np.random.default_rng([seed, 11, zlib.crc32(series.name.encode()), i])
            hu[i], label[i] = draw_patch(series, rng, i % 10 < POSITIVE_SHARE * 10)
            if (i + 1) % 100 == 0:
                progress(f"patches of {series.name}: {i + 1} of {size}")
        hu.flush()
        label.flush()
        note.write_text(json.dumps(wanted))
    return (
        np.load(folder / "hu.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / "label.npy", mmap_mode="r", allow_pickle=False),
    )


def draw_patch(series: TrainingSeries, rng: Rng, positive: bool) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """One training patch with one or two nodules, or with none; often with a structure that is no nodule."""
    if not positive:
        if rng.random() < 0.5:
            return _make_patch(series, rng, _lung_centre(series, rng, dense=rng.random() < 0.75), [], [])
        distractor = _draw_distractor(series, rng)
        return _make_patch(series, rng, _near(series, rng, distractor.centre, 16.0), [], [distractor])
    first = None
    while first is None:
        high = 7.0 if rng.random() < SMALL_SHARE else 30.0
        first = draw_nodule(series, rng, 4.0, high, PLACE_SHARES)
    centre = _near(series, rng, first.centre, 20.0)
    distractors: list[Distractor] = []
    if rng.random() < 0.35:  # a vessel or a band beside the nodule or through it
        kind = str(rng.choice(("vessel", "airway", "band")))
        distractors.append(Distractor(_near(series, rng, centre, 22.0), kind))
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
    return _make_patch(series, rng, centre, nodules, distractors)


def _make_patch(
    series: TrainingSeries, rng: Rng, centre: Index, nodules: Sequence[SyntheticNodule], distractors: Sequence[Distractor]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """One patch around a native index; nodules and distractors are inserted at native resolution."""
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
    for nodule in nodules:
        z, y, x = (c - a for c, a in zip(nodule.centre, low, strict=True))
        moved = SyntheticNodule((z, y, x), nodule.diameter_mm, nodule.kind, nodule.place)
        if any(not 0 <= c < n for c, n in zip(moved.centre, hu.shape, strict=True)):
            continue
        occupied = np.zeros(hu.shape, dtype=np.float32)
        insert_nodule(hu, occupied, series.spacing_mm, rng, series.noise, moved)
        share = grids.resample(occupied, grid, smooth=False)
        label[(share > 0.5 * min(1.0, float(share.max()) + 1e-6)) & (share > 0.1) & field] = NODULE
    return np.round(grids.resample(hu, grid)).astype(np.int16), label


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


def _lung_centre(series: TrainingSeries, rng: Rng, dense: bool) -> Index:
    """A native index in the lungs for a patch without nodules; ``dense``: near vessels, hilum or pleura."""
    allowed = series.vessel | (series.lungs.air & (series.inner_mm < 4.0)) if dense else series.lungs.air
    places = np.argwhere(allowed)
    return series.to_native(places[int(rng.integers(len(places)))].astype(np.float64))


def _draw_distractor(series: TrainingSeries, rng: Rng) -> Distractor:
    """A random structure that is no nodule, in the lungs; plaques on the pleura."""
    kind = str(rng.choice(KINDS, p=[0.35, 0.15, 0.15, 0.2, 0.15]))
    allowed = series.lungs.air & (series.inner_mm < 3.0) if kind == "plaque" else series.lungs.air
    places = np.argwhere(allowed)
    coarse = places[int(rng.integers(len(places)))]
    return Distractor(series.to_native(coarse.astype(np.float64)), kind, series.direction_to_wall(coarse))


def _near(series: TrainingSeries, rng: Rng, centre: Index, reach_mm: float) -> Index:
    z, y, x = np.asarray(centre) + rng.uniform(-reach_mm, reach_mm, 3) / series.spacing_mm
    return float(z), float(y), float(x)
