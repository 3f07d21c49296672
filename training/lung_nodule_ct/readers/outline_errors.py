"""Dice and volume error of the served outline against the readers' consensus masks of pasted nodules, by rule of the outline.

``python -m training.lung_nodule_ct.readers.outline_errors --data DIR --regions DIR [--levels]``: the shipped rule; with ``--levels`` other
levels too, and the level chosen on the patients of one half and measured on the other.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.lung_nodule_ct.candidates import NoduleCandidate
from models.lung_nodule_ct.description.outline import LEVEL, outline_by_density
from training.lung_nodule_ct.readers.agreement import interval
from training.lung_nodule_ct.readers.stored_regions import PastedRegion, read_regions
from training.lung_nodule_ct.real.nodule_crops import FOLDS, RealNodule, fold_of, read_nodules

LEVELS = (0.55, 0.5, 0.45, 0.4, 0.35, 0.3)
LEAST_MM3 = 5.0  # smaller masks are lost between the slices of the volume

Floats = npt.NDArray[np.float64]


def dice(outlined: NoduleCandidate, region: PastedRegion) -> float:
    """Overlap of the outline and the half of the consensus mask's share, on voxels of 1 mm."""
    mask = np.zeros(region.share.shape, dtype=bool)
    mask[tuple(slice(c, c + n) for c, n in zip(outlined.corner, outlined.inside.shape, strict=True))] = outlined.inside
    truth = region.share >= 0.5
    return 2.0 * float((mask & truth).sum()) / float(max(1, mask.sum() + truth.sum()))


def outline_errors(regions: Sequence[PastedRegion], level: float = LEVEL) -> tuple[Floats, Floats]:
    """Dice, and the outline's volume over that of the readers' consensus, of each region."""
    overlap, ratio = [], []
    for region in regions:
        outlined = outline_by_density(*region.as_served(), level)
        overlap.append(dice(outlined, region))
        ratio.append(outlined.volume_mm3 / float(region.share.sum()))
    return np.array(overlap), np.array(ratio)


def summary(overlap: Floats, ratio: Floats, patients: Sequence[str]) -> dict[str, Any]:
    """Mean Dice and median volume error with 95 % intervals by patient, and the median of the volumes' ratio."""
    error = np.abs(ratio - 1.0)
    return {
        "nodules": len(ratio),
        "mean_dice": [round(float(overlap.mean()), 3), *_rounded(interval(patients, lambda i: float(overlap[i].mean())))],
        "median_dice": round(float(np.median(overlap)), 3),
        "median_volume_error": [round(float(np.median(error)), 3), *_rounded(interval(patients, lambda i: float(np.median(error[i]))))],
        "median_ratio_of_volumes": round(float(np.median(ratio)), 3),
    }


def crossed_level(by_level: dict[float, tuple[Floats, Floats]], patients: Sequence[str]) -> dict[str, Any]:
    """The level with the least median volume error on one half of the patients, measured on the other half, both ways."""
    fold = np.array([fold_of(patient) for patient in patients])
    overlap, ratio, chosen = np.zeros(len(fold)), np.zeros(len(fold)), []
    for half in range(FOLDS):
        own = fold == half
        best = min(by_level, key=lambda level: float(np.median(np.abs(by_level[level][1][~own] - 1.0))))
        overlap[own], ratio[own] = by_level[best][0][own], by_level[best][1][own]
        chosen.append(best)
    return {"levels": chosen, **summary(overlap, ratio, patients)}


def outline_figures(regions: Sequence[PastedRegion], nodules: Sequence[RealNodule], levels: Sequence[float]) -> dict[str, Any]:
    """Figures of the shipped rule, by size, and of other ``levels``."""
    used = [region for region in regions if region.share.sum() >= LEAST_MM3]
    patients = [nodules[region.nodule].patient for region in used]
    size = np.array([nodules[region.nodule].diameter_mm for region in used])
    overlap, ratio = outline_errors(used)
    found: dict[str, Any] = {"all": summary(overlap, ratio, patients)}
    for low, high in ((0.0, 6.0), (6.0, 10.0), (10.0, 60.0)):
        own = np.flatnonzero((size >= low) & (size < high))
        if len(own):
            found[f"{low:g}_to_{high:g}_mm"] = summary(overlap[own], ratio[own], [patients[int(i)] for i in own])
    by_level = {level: outline_errors(used, level) for level in levels}
    found |= {f"level_{level:g}": summary(*both, patients) for level, both in by_level.items()}
    return found | ({"level_chosen_on_the_other_half": crossed_level(by_level, patients)} if by_level else {})


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--regions", type=Path, required=True)
    parser.add_argument("--levels", action="store_true")
    given = parser.parse_args()
    print(json.dumps(outline_figures(read_regions(given.regions), read_nodules(given.data), LEVELS if given.levels else ()), indent=2))
