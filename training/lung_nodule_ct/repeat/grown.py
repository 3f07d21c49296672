"""Measures how often a nodule that has grown between two examinations is matched and called larger.

``python -m training.lung_nodule_ct.repeat.grown --data DIR``: the same real nodules are pasted at the same places of a volume, into the
second examination (`second_examination`, as usual) with a larger volume. The shipped network looks at both. No real pair was available.
"""

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.policy.priors.finding_matches import match_findings
from core.policy.priors.growth import judge_volumes
from core.records import Change
from models import runtime
from models.ct.isotropic_grid import Index, Spacing
from models.lung_nodule_ct.candidates import LEAST_REACH_MM
from models.lung_nodule_ct.measuring_error import VOLUME_ERROR
from models.torch_threads import cpu_threads
from training.lung_nodule_ct.real.backgrounds import read_backgrounds, read_other_nodules
from training.lung_nodule_ct.real.measurement.evaluate_real import SEED
from training.lung_nodule_ct.real.nodule_crops import RealNodule
from training.lung_nodule_ct.real.paste import paste_nodule
from training.lung_nodule_ct.real.prepared_volumes import APART_MM, draw_free_site, draw_place
from training.lung_nodule_ct.repeat.measure import FOLD, OTHER_LIMITS, SeenFinding, find_nodules, seen_finding
from training.lung_nodule_ct.repeat.second_examination import REPOSITIONINGS, Hu, examine_again
from training.lung_nodule_ct.series.training_series import TrainingSeries
from training.lung_nodule_ct.synthesis.tissue_noise import Rng

NODULES = 8  # in each volume
FACTORS = (2.0, 4.0)  # of the volume


def measure_growth(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, dict[str, int]]:
    """For each factor of `FACTORS`: pasted nodules, those marked in both examinations, matched rightly, and what they were called."""
    backgrounds = read_backgrounds(data, SEED)
    nodules = read_other_nodules(data, backgrounds)
    model = runtime.load("lung_nodule_ct", device="cpu")
    counts = {factor: Counter[str]() for factor in FACTORS}
    for background in backgrounds:
        if background.fold != FOLD:
            continue
        series = background.prepare()
        for factor in FACTORS:
            rng = np.random.default_rng([SEED, 59, int(factor), zlib.crc32(background.name.encode())])
            first, second, centres = paste_twice(series, nodules, rng, NODULES, factor)
            again = examine_again(second, series.spacing_mm, REPOSITIONINGS["usual"])
            before = [seen_finding(one, lambda index: index) for one in find_nodules(model, first, series.spacing_mm)]
            after = [seen_finding(one, again.in_first) for one in find_nodules(model, again.hu, again.spacing_mm)]
            counts[factor] += judge_growth(before, after, centres, series.spacing_mm)
            progress(f"{background.name}, {factor:g} times the volume: {dict(counts[factor])}")
    return {f"{factor:g}": dict(found) for factor, found in counts.items()}


def paste_twice(series: TrainingSeries, nodules: Sequence[RealNodule], rng: Rng, count: int, factor: float) -> tuple[Hu, Hu, list[Index]]:
    """Two copies of the volume with the same nodules at ``centres``, in the second one with ``factor`` times their volume."""
    first, second, occupied = series.hu.copy(), series.hu.copy(), np.zeros(series.hu.shape, np.float32)
    air, scale = np.argwhere(series.lungs.air), factor ** (1 / 3)
    centres: list[Index] = []
    for index in rng.permutation(len(nodules)):
        nodule = nodules[int(index)]
        z, y, x = (step * scale for step in nodule.spacing_mm)
        grown = replace(nodule, spacing_mm=(z, y, x), diameter_mm=nodule.diameter_mm * scale)
        at = draw_free_site(series, air, rng, grown.diameter_mm, draw_place(nodule, rng))
        apart = [float(np.linalg.norm(np.subtract(at, other) * series.spacing_mm)) for other in centres] if at is not None else []
        if at is None or min(apart, default=np.inf) < grown.diameter_mm + APART_MM:
            continue
        seed = int(rng.integers(1 << 32))
        for hu, one in ((first, nodule), (second, grown)):
            paste_nodule(hu, occupied, series.spacing_mm, np.random.default_rng(seed), one, at)
        centres.append(at)
        if len(centres) == count:
            break
    return first, second, centres


def judge_growth(
    before: Sequence[SeenFinding], after: Sequence[SeenFinding], centres: Sequence[Index], spacing_mm: Spacing
) -> Counter[str]:
    """Count nodules at ``centres``: pasted, marked in both examinations, matched, and larger, smaller or within_error.

    ``beyond_``: what would be called larger by one limit for all sizes.
    """
    matches = match_findings([one.placed for one in after], [one.placed for one in before])
    found = Counter(pasted=len(centres))
    for centre in centres:
        then, now = (_mark_at(centre, seen, spacing_mm) for seen in (before, after))
        if then is None or now is None:
            continue
        found["marked"] += 1
        if matches[now.placed.number].number != then.placed.number:
            continue
        smaller = min(one.placed.diameter_mm or 0.0 for one in (then, now))
        change: Change = judge_volumes(then.volume_mm3, now.volume_mm3, VOLUME_ERROR.ratio_95(smaller))
        found.update({"matched": 1, change.value: 1})
        found.update(f"beyond_{limit:g}" for limit in OTHER_LIMITS if now.volume_mm3 > limit * then.volume_mm3)
    return found


def _mark_at(centre: Index, seen: Sequence[SeenFinding], spacing_mm: Spacing) -> SeenFinding | None:
    """The finding that marks a place: the nearest, within its radius, at least 5 mm."""

    def distance(one: SeenFinding) -> float:
        return float(np.linalg.norm(np.subtract(one.centre, centre) * spacing_mm))

    nearest = min(seen, key=distance, default=None)
    if nearest is None or distance(nearest) > max((nearest.placed.diameter_mm or 0.0) / 2, LEAST_REACH_MM):
        return None
    return nearest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    with cpu_threads(1):
        print(json.dumps(measure_growth(given.data), indent=2))
