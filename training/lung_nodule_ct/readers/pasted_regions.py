"""Pastes every real nodule once and keeps what the detector makes of it: image, heat, region and the readers' mask on the 1 mm grid.

``python -m training.lung_nodule_ct.readers.pasted_regions --data DIR --out DIR [--model FOLDER]``: nodules of the patients of a fold go
into the volumes of that fold, as in `evaluate_real`, each alone into a copy of its surroundings, so that it takes a fifth of a second. The
first stage sees a cube of 48 mm. A nodule counts as found as in `evaluate_real`. One file for every part of the nodules, so that an
interruption loses one part.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from models import registry
from models.card import read_card
from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Float, Index, ResamplingGrid
from models.lung_nodule_ct.candidates import NoduleCandidate
from models.lung_nodule_ct.heat import NoduleHeat
from models.lung_nodule_ct.two_stages import TwoStageDetector, combine_scores
from models.torch_threads import cpu_threads
from training.lung_nodule_ct.readers.open_lungs import OpenLungs, open_lungs
from training.lung_nodule_ct.readers.stored_regions import PastedRegion, save_regions
from training.lung_nodule_ct.real.measurement.examination import nearest_target
from training.lung_nodule_ct.real.nodule_crops import FOLDS, RealNodule, fold_of, read_nodules
from training.lung_nodule_ct.real.paste import paste_nodule
from training.lung_nodule_ct.real.prepared_volumes import draw_place
from training.lung_nodule_ct.real.reference_volumes import read_volumes
from training.lung_nodule_ct.synthesis.tissue_noise import Rng

EDGE = 48  # voxels of 1 mm
AROUND_MM = 40.0  # of the volume that is copied on each side
MARGIN = 8  # voxels around the region that are kept
PART = 50  # nodules of a file
SEED = 11


def find_pasted(
    detector: TwoStageDetector, lungs: OpenLungs, number: int, nodule: RealNodule, thresholds: Mapping[str, float]
) -> PastedRegion | None:
    """Paste one nodule at a random place and return what the detector finds of it; None where it finds nothing, or no place suits."""
    rng = np.random.default_rng([SEED, number])
    at = lungs.draw_site(rng, nodule.diameter_mm, draw_place(nodule, rng))
    if at is None:
        return None
    heat, share = _pasted_heat(detector, lungs, nodule, at, rng)
    regions = combine_scores(detector.scored_regions(heat, thresholds), thresholds, 0.0)
    spacing = lungs.spacing_mm
    region = next((r for r in regions if nearest_target(r.centre, [(at, nodule.diameter_mm)], spacing) == 0), None)
    return None if region is None else _cut_out(region, heat, share, number, lungs.name)


def _pasted_heat(
    detector: TwoStageDetector, lungs: OpenLungs, nodule: RealNodule, at: Index, rng: Rng
) -> tuple[NoduleHeat, Float]:  # fmt: skip
    """First stage's heat and the share that is nodule, on a cube of the 1 mm grid around the native ``at``."""
    low = [max(0, int(c - AROUND_MM / s)) for c, s in zip(at, lungs.spacing_mm, strict=True)]
    high = [min(n, int(c + AROUND_MM / s) + 2) for c, s, n in zip(at, lungs.spacing_mm, lungs.hu.shape, strict=True)]
    block = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    hu = lungs.hu[block].copy()
    occupied = np.zeros(hu.shape, np.float32)
    inner = tuple(c - a for c, a in zip(at, low, strict=True))
    paste_nodule(hu, occupied, lungs.spacing_mm, rng, nodule, (inner[0], inner[1], inner[2]))
    shifted = tuple(c + rng.uniform(-0.5, 0.5) / s for c, s in zip(at, lungs.spacing_mm, strict=True))  # the grid knows no nodule
    grid = grids.cube_grid((shifted[0], shifted[1], shifted[2]), EDGE, lungs.spacing_mm)
    origin = tuple(o - a for o, a in zip(grid.origin, low, strict=True))
    own = ResamplingGrid((origin[0], origin[1], origin[2]), grid.step, grid.shape)
    image = grids.normalise(grids.resample(hu, own))
    values = detector.first_stage(image) * lungs.lungs.on_grid(lungs.lungs.field, grid)
    return NoduleHeat(values, image, grid, lungs.lungs), grids.resample(occupied, own, smooth=False)


def _cut_out(region: NoduleCandidate, heat: NoduleHeat, share: Float, number: int, name: str) -> PastedRegion:
    inside = np.zeros(heat.values.shape, dtype=bool)
    inside[tuple(slice(c, c + n) for c, n in zip(region.corner, region.inside.shape, strict=True))] = region.inside
    box = tuple(slice(max(0, c - MARGIN), c + n + MARGIN) for c, n in zip(region.corner, region.inside.shape, strict=True))
    dense = np.round(grids.denormalise(heat.image[box])).astype(np.int16)
    return PastedRegion(number, name, region.score, dense, heat.values[box], inside[box], share[box])


def build(data: Path, out: Path, folder: Path, progress: Callable[[str], None] = print) -> None:
    """Write the regions of every nodule of ``data`` that finds a place, as the detector of ``folder`` finds it."""
    card = read_card(folder / "card.toml")
    detector = TwoStageDetector(folder / "weights.safetensors", card.network)
    out.mkdir(parents=True, exist_ok=True)
    volumes = read_volumes(data)
    lungs = [open_lungs(volume) for volume in volumes]
    own = {volume.name for volume in volumes}
    nodules = [(number, one) for number, one in enumerate(read_nodules(data)) if one.patient not in own]
    order = np.random.default_rng(SEED).permutation(len(nodules))
    for part in range(0, len(order), PART):
        path = out / f"{part:04d}.npz"
        if path.is_file():
            continue
        found = []
        for index in order[part : part + PART]:
            number, nodule = nodules[int(index)]
            suited = lungs[fold_of(nodule.patient) :: FOLDS]
            region = find_pasted(detector, suited[number % len(suited)], number, nodule, card.thresholds)
            found += [] if region is None else [region]
        save_regions(found, path)
        progress(f"{part + PART} of {len(order)}: {len(found)} of the last {PART} were found")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=registry.MODELS_FOLDER / "lung_nodule_ct")
    given = parser.parse_args()
    with cpu_threads(1):
        build(given.data, given.out, given.model)
